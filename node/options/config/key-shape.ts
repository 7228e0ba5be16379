/**
 * The keys that a configuration may have, as a tree: derived from zod schemas by way of their JSON Schema, so that a new
 * option is a key, a variable and a line of the reference by itself. Pure.
 *
 * Keys are in snake_case. What only a program can give (functions, contracts) has no key.
 */
import * as z from 'zod'

export type JsonSchema = z.core.JSONSchema.BaseSchema

export interface KeyLeaf {
  readonly kind: 'leaf'
  /** `['limits', 'max_connections']` */
  readonly path: readonly string[]
  /** `['limits', 'maxConnections']`; undefined where no option of createMesh has this form. */
  readonly option: readonly string[] | undefined
  readonly schema: JsonSchema
  readonly about: string
}

export interface KeyGroup {
  readonly kind: 'group'
  readonly path: readonly string[]
  readonly option: readonly string[] | undefined
  readonly about: string
  readonly fields: ReadonlyMap<string, KeyShape>
  /** Of its values, where any key will do (labels). */
  readonly open?: JsonSchema
  /** What may stand in its place (`debug: false`). */
  readonly scalar?: JsonSchema
  /** It may be left out as a whole. */
  readonly optional?: boolean
  /** Its fields may also stand in a list of items that name themselves by `type`. */
  readonly byType?: boolean
}

export type KeyShape = KeyLeaf | KeyGroup

export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isSchema = (value: unknown): value is JsonSchema => isMap(value)

/** A function or an object of the program's own: JSON Schema has nothing to say of it. */
const isOpaque = (schema: JsonSchema): boolean =>
  schema.type === undefined && schema.enum === undefined && schema.const === undefined && schema.anyOf === undefined

export const alternatives = (schema: JsonSchema): JsonSchema[] =>
  schema.anyOf === undefined ? [schema] : schema.anyOf.filter(isSchema).flatMap(alternatives)

export const schemaFieldsOf = (schema: JsonSchema): [string, JsonSchema][] =>
  Object.entries(schema.properties ?? {}).filter((entry): entry is [string, JsonSchema] => isSchema(entry[1]))

const isGroup = (schema: JsonSchema): boolean => schema.properties !== undefined

const oneOf = (schema: JsonSchema, kept: JsonSchema[]): JsonSchema => {
  const { anyOf: _, ...rest } = schema
  const [only, ...more] = kept
  return more.length === 0 && only !== undefined ? { ...only, ...rest } : { ...rest, anyOf: kept }
}

const shapeOf = (
  given: JsonSchema,
  path: readonly string[],
  option: readonly string[] | undefined,
): KeyShape | undefined => {
  const kept = alternatives(given).filter((one) => !isOpaque(one))
  if (kept.length === 0) return undefined
  const schema = given.anyOf === undefined ? given : oneOf(given, kept)
  const about = schema.description ?? ''
  const group = kept.find(isGroup)
  if (group !== undefined) {
    const scalars = kept.filter((one) => one !== group)
    const fields = schemaFieldsOf(group).flatMap(([name, field]): [string, KeyShape][] => {
      const shape = shapeOf(field, [...path, snakeCase(name)], option && [...option, name])
      return shape === undefined ? [] : [[snakeCase(name), shape]]
    })
    const scalar = scalars.length === 0 ? {} : { scalar: oneOf({ ...given, description: about }, scalars) }
    const optional = schema.default === undefined && given.default === undefined ? { optional: true } : {}
    return { kind: 'group', path, option, about, fields: new Map(fields), ...scalar, ...optional }
  }
  if (schema.type === 'object') {
    const open = isSchema(schema.additionalProperties) ? schema.additionalProperties : {}
    return { kind: 'group', path, option, about, fields: new Map(), open }
  }
  if (schema.type === 'array' && isSchema(schema.items) && isOpaque(schema.items)) return undefined
  return { kind: 'leaf', path, option, schema, about }
}

/** @param asOptions the fields are options of createMesh, and keep their own names beside the keys */
export const shapeOfSchema = (schema: z.ZodType, asOptions: boolean): ReadonlyMap<string, KeyShape> => {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' })
  const shape = shapeOf(json, [], asOptions ? [] : undefined)
  return shape?.kind === 'group' ? shape.fields : new Map()
}

/** All keys under these, groups without fields of their own included. */
export const leafShapes = (fields: ReadonlyMap<string, KeyShape>): KeyShape[] =>
  [...fields.values()].flatMap((shape) =>
    shape.kind === 'leaf' || shape.open !== undefined ? [shape] : leafShapes(shape.fields),
  )

export const dotted = (path: readonly string[]): string => path.join('.')

/** The key at this path, and the group above it; undefined where there is none. */
export const findShape = (fields: ReadonlyMap<string, KeyShape>, path: readonly string[]): KeyShape | undefined => {
  const [first = '', ...rest] = path
  const shape = fields.get(first)
  if (shape === undefined || rest.length === 0) return shape
  if (shape.kind === 'leaf') return undefined
  if (shape.open === undefined) return findShape(shape.fields, rest)
  const [name = '', ...more] = rest
  if (more.length > 0) return undefined
  return {
    kind: 'leaf',
    path: [...shape.path, name],
    option: shape.option && [...shape.option, name],
    schema: shape.open,
    about: shape.about,
  }
}
