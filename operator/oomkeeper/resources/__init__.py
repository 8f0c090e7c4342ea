"""The custom resources and the kill record as msgspec Structs: what every program reads and writes.

The definition is `oomkeeper.api` (pydantic: checks what people write, generates crds/). `make crds` generates
the modules here from it, one per module of `api`, and `make lint` checks that they are current; only `record`
is handwritten. So a field is defined once, and the agent, which cannot afford pydantic, has its type.

    from oomkeeper.resources.oomnode import OOMNode
    from oomkeeper.resources.record import bounded, read, to_document

    node = read(OOMNode, answer)                    # bytes of JSON, or a decoded object
    document = to_document(node)                    # within the CRD's bounds, nothing that is absent

Reading is tolerant: unknown fields are ignored and enums are plain strings, so that an object written by a
newer version can be read. Times are RFC 3339 strings.
"""
