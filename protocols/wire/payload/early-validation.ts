/**
 * A look at the long arrays and records of a large value, piece by piece, before its schema is applied to all of it.
 *
 * A schema tells every fault: a million elements of the wrong kind are a million issues, which take seconds to make, for a
 * message that names five. Here the first piece with a fault ends it. What is well-formed is checked twice, which costs
 * little beside reading it. It looks where arrays, objects, records and what wraps them say of what kind their parts are;
 * unions and transforms are left to the schema.
 *
 * State: for each kind of element the schema of a piece, for as long as the element's schema lives.
 */
import type { ZodType, z } from 'zod'

/** Elements of one piece; arrays that are not longer are left to the schema. */
export const PIECE_ELEMENTS = 512
const MAX_DEPTH = 8

/** Of a schema's definition, what says where its parts are. */
interface Parts {
  readonly type?: unknown
  readonly element?: ZodType
  readonly shape?: Readonly<Record<string, ZodType>>
  readonly innerType?: ZodType
  readonly valueType?: ZodType
}

type Issue = z.core.$ZodIssue

const pieces = new WeakMap<ZodType, ZodType>()
const pieceOf = (element: ZodType): ZodType => {
  let piece = pieces.get(element)
  if (piece === undefined) {
    piece = element.array()
    pieces.set(element, piece)
  }
  return piece
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const nameFirst = (issue: Issue, nameOf: (at: number) => PropertyKey): Issue => {
  const [at, ...rest] = issue.path
  return typeof at === 'number' ? { ...issue, path: [nameOf(at), ...rest] } : issue
}

/** Faults of a list, the parts of each element first. */
const ofList = (
  element: ZodType,
  list: readonly unknown[],
  nameOf: (at: number) => PropertyKey,
  depth: number,
): Issue[] => {
  for (let from = 0; from < list.length; from += PIECE_ELEMENTS) {
    const piece = list.slice(from, from + PIECE_ELEMENTS)
    for (const [at, item] of piece.entries()) {
      if (typeof item !== 'object' || item === null) continue
      const inner = findEarlyIssues(element, item, depth + 1)
      if (inner.length > 0) return inner.map((issue) => ({ ...issue, path: [nameOf(from + at), ...issue.path] }))
    }
    if (list.length <= PIECE_ELEMENTS) return []
    const result = pieceOf(element).safeParse(piece)
    if (!result.success) return result.error.issues.map((issue) => nameFirst(issue, (at) => nameOf(from + at)))
  }
  return []
}

/** The faults of the first piece that has any; none where all are well, or where that is left to the schema. */
export const findEarlyIssues = (schema: ZodType, value: unknown, depth = 0): Issue[] => {
  const { type, element, shape, innerType, valueType } = schema.def as Parts
  if (depth > MAX_DEPTH) return []
  if (type === 'array' && element !== undefined && Array.isArray(value)) {
    return ofList(element, value, (at) => at, depth)
  }
  if (type === 'record' && valueType !== undefined && isRecord(value)) {
    const keys = Object.keys(value)
    return ofList(valueType, Object.values(value), (at) => keys[at] ?? at, depth)
  }
  if (type === 'object' && shape !== undefined && isRecord(value)) {
    for (const [name, part] of Object.entries(shape)) {
      const of = value[name]
      if (typeof of !== 'object' || of === null) continue
      const found = findEarlyIssues(part, of, depth + 1)
      if (found.length > 0) return found.map((issue) => ({ ...issue, path: [name, ...issue.path] }))
    }
    return []
  }
  return innerType === undefined ? [] : findEarlyIssues(innerType, value, depth + 1)
}
