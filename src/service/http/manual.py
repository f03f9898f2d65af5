"""Makes the page at /docs: the OpenAPI document as one HTML page without scripts, which loads nothing from other hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: light-dark(#0a5, #5d9) }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem }
h2 { margin: 2.5rem 0 .5rem; text-transform: capitalize } h4 { margin: 1rem 0 .25rem }
nav a { margin-right: .75rem; color: var(--link) } a { color: var(--link) }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: 0 .8rem }
summary { cursor: pointer; padding: .5rem 0; display: flex; gap: .6rem; align-items: baseline; flex-wrap: wrap }
summary > b { font: 600 .8rem ui-monospace, monospace; min-width: 3.5rem }
summary > code { overflow-wrap: anywhere } summary > span { margin-left: auto; opacity: .8 }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto }
td, th { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: .3rem } code, pre { font-size: .88rem }
"""
_REF = "#/components/schemas/"


def render(document: dict[str, Any]) -> str:
    """The HTML page that describes the API of an OpenAPI document."""
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    info, schemas = document["info"], document["components"]["schemas"]
    tags = sorted(by_tag)
    paragraphs = "".join(f"<p>{_prose(text)}</p>" for text in info["description"].split("\n\n"))
    contents = " ".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in tags)
    sections = "".join(
        f'<h2 id="{escape(tag)}">{escape(tag)}</h2>' + "".join(_operation(*each, schemas) for each in by_tag[tag])
        for tag in tags
    )
    models = "".join(_model(name, schemas[name]) for name in sorted(schemas))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>{paragraphs}"
        f'<p>The same for programs: <a href="/openapi.json">/openapi.json</a></p><nav>{contents}'
        f'<a href="#models">models</a></nav>{sections}<h2 id="models">models</h2>{models}</html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [f"<p>{_prose(operation.get('description', operation['summary']))}</p>"]
    role = operation.get("x-role")
    parts.append(f"<p>{f'Needs the role {role} or a stronger one.' if role else 'Anyone may call it.'}</p>")
    if operation["parameters"]:
        rows = "".join(_row(each["name"], each["in"], each["schema"], each) for each in operation["parameters"])
        parts.append(f"<h4>Parameters</h4><table>{rows}</table>")
    if body := operation.get("requestBody"):
        media = body["content"]["application/json"]
        parts.append(f"<h4>Body</h4>{_fields(schemas[media['schema']['$ref'].removeprefix(_REF)])}")
    parts.append(f"<h4>Example</h4><pre>{escape(_curl(method, path, operation))}</pre>")
    parts.append(f"<h4>Answers</h4><table>{''.join(_answers(operation['responses']))}</table>")
    name = escape(operation["operationId"])
    return (
        f'<details id="{name}"><summary><b>{method.upper()}</b><code>{escape(path)}</code>'
        f"<span>{escape(operation['summary'])}</span></summary>{''.join(parts)}</details>"
    )


def _answers(responses: dict[str, Any]) -> Iterator[str]:
    for status, answer in responses.items():
        media: Any = next(iter(answer.get("content", {}).values()), {})
        schema = media.get("schema", {})
        what = "" if int(status) >= 400 else _type(schema)
        yield f"<tr><th>{status}<td>{_prose(answer['description'])}<td>{what}"


def _curl(method: str, path: str, operation: dict[str, Any]) -> str:
    """An example command line that calls the operation with curl; the server, ids and token are shell variables."""
    lines = [
        f'curl -s{"" if method == "get" else f"X {method.upper()}"} "$QUARRY{path.replace("{", "$")}"'.replace("}", "")
    ]
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if any(each["name"] == "If-Match" for each in operation["parameters"]):
        lines.append("""-H 'If-Match: "1"'""")
    if body := operation.get("requestBody"):
        example = body["content"]["application/json"].get("example", {})
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example)}'"]
    return " \\\n  ".join(lines)


def _model(name: str, schema: dict[str, Any]) -> str:
    inside = f"<p>{_prose(schema.get('description', ''))}</p>{_fields(schema)}"
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{inside}</details>'


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = (
        _row(name, "required" if name in required else "", each, {})
        for name, each in schema.get("properties", {}).items()
    )
    return f"<table>{''.join(rows)}</table>"


def _row(name: str, note: str, schema: dict[str, Any], parameter: dict[str, Any]) -> str:
    said = parameter.get("description") or schema.get("description", "")
    default = f" Default: <code>{escape(json.dumps(schema['default']))}</code>." if "default" in schema else ""
    return f"<tr><th><code>{escape(name)}</code><td>{_type(schema)}<td>{escape(note)}<td>{_prose(said)}{default}"


def _type(schema: dict[str, Any]) -> str:
    """The type that a schema describes, as HTML of a few words. Names of models are links to their sections of the page."""
    if reference := schema.get("$ref"):
        name = escape(reference.removeprefix(_REF))
        return f'<a href="#{name}">{name}</a>'
    if options := schema.get("anyOf"):
        return " or ".join(_type(each) for each in options)
    if values := schema.get("enum"):
        return " · ".join(f"<code>{escape(str(value))}</code>" for value in values)
    if "items" in schema.get("properties", {}) and "next" in schema["properties"]:
        return f"a page of {_type(schema['properties']['items']['items'])}"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = schema.get("type", "")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return escape(f"{text} ({schema['format']})" if "format" in schema else text)


def _prose(text: str) -> str:
    """A text as HTML; text between backquotes becomes a code element."""
    return "".join(
        f"<code>{escape(part)}</code>" if number % 2 else escape(part) for number, part in enumerate(text.split("`"))
    )
