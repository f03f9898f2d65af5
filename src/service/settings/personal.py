"""Settings of the keys that encrypt personal data."""

from __future__ import annotations

from pydantic import SecretStr

from service.settings.installation import InstallationSettings


class PersonalSettings(InstallationSettings):
    """The keys for personal data, and the key for blind indexes. If both are None, the keys are in a file in `quarry_home`."""

    pii_keys: SecretStr | None = None
    pii_index_key: SecretStr | None = None
