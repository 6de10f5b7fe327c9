"""``%config Ainb``: every option of ainb as a trait, generated from the table of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from traitlets import TraitType
from traitlets.config import Configurable

from ainb.config import OPTIONS, Config, load_config, read_settings
from ainb.errors import ConfigError
from ainb.suggestions import closest


class Setting(TraitType[Any, Any]):
    """Trait of one option; reading it gives the effective value from all sources."""

    info_text = "a value of this option"

    def get(self, obj: Any, cls: type[Any] | None = None) -> Any:
        """The effective value."""
        return getattr(obj.effective(), self.name or "")

    def set(self, obj: Any, value: Any) -> None:
        """Set the option; it takes effect on the next cell.

        Raises:
            ConfigError: The value is invalid.
        """
        obj.set_option(self.name, value)


class _Settings(Configurable):
    """Values set with ``%config Ainb``, an IPython profile, or ``%ai alias``.

    IPython prints an error of ``%config`` and lets the cell succeed, so a refused value is stored: the next
    call raises the error again instead of running without the intended limit.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.given: dict[str, Any] = {}
        self.error: ConfigError | None = None
        self.changed: Callable[[], None] | None = None
        super().__init__(**kwargs)

    def effective(self) -> Config:
        """All options from all sources; these settings take precedence.

        Raises:
            ConfigError: An option is invalid, or a setting was refused and nothing has been set since.
        """
        if self.error is not None:
            raise ConfigError(str(self.error))
        return load_config(settings=self.given)

    def set_option(self, name: str, value: Any) -> None:
        """Set an option.

        Raises:
            ConfigError: The value is invalid; the old one stays.
        """
        given = {**self.given, name: value}
        try:
            # Only this option is checked: an invalid one of an untrusted project must not prevent setting
            # this one.
            Config(**read_settings(given))
        except ConfigError as error:
            self.error = error
            raise
        self.given, self.error = given, None
        if self.changed is not None:
            self.changed()

    def _load_config(
        self,
        cfg: Any,
        section_names: list[str] | None = None,
        traits: dict[str, TraitType[Any, Any]] | None = None,
    ) -> None:
        """Raise for a misspelt option; traitlets would only warn."""
        mine: Mapping[str, Any] = self._find_my_config(cfg)
        for name in mine:
            if name not in OPTIONS:
                self.error = ConfigError(
                    f"%config Ainb has no option {name!r}; {closest(name, OPTIONS)}; "
                    "set it again under its right name"
                )
                raise self.error
        super()._load_config(cfg, section_names, traits)


def _help(item: Any) -> str:
    section = item.metadata.get("section")
    return f"{item.metadata['help']}; a dict of its options, or False" if section else item.metadata["help"]


Ainb: type[_Settings] = type(
    "Ainb",
    (_Settings,),
    {
        "__doc__": "Options of ainb. They take effect on the next cell.",
        "__module__": __name__,
        **{name: Setting(help=_help(item), config=True) for name, item in OPTIONS.items()},
    },
)
