"""What is to be handed in, as records: each field, and of what is one of several types each of them with the way to give it."""

from collections.abc import Iterable, Iterator

from procession.language.fields import Alternative, Field, FieldKind
from procession.language.filling_in import example_of, given_as
from procession.services.records import FormAlternative, FormField


def form_fields(fields: Iterable[Field]) -> tuple[FormField, ...]:
    """All fields, those of something nested after it."""
    return tuple(_flat(fields))


def _flat(fields: Iterable[Field]) -> Iterator[FormField]:
    for field in fields:
        yield FormField(
            path=field.path,
            label=field.label,
            type=field.type_name,
            required=field.required,
            help=field.help,
            options=tuple(option.label for option in field.options),
            nullable=field.nullable,
            alternatives=tuple(_alternative(each) for each in field.alternatives),
        )
        yield from _flat(field.fields)
        if field.item is not None and field.item.kind is FieldKind.NESTED:
            yield from _flat(field.item.fields)


def _alternative(alternative: Alternative) -> FormAlternative:
    inner = alternative.field
    return FormAlternative(
        label=alternative.label,
        tag=alternative.tag,
        fields=form_fields(inner.fields if inner.kind is FieldKind.NESTED else (inner,)),
        given_as=given_as(alternative, "answer"),
        example=example_of(alternative),
    )
