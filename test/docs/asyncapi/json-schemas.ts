/** JSON Schemas (draft 7, as AsyncAPI has them) of what a member may send, out of the zod schemas of the contracts. Pure. */
import * as z from 'zod'
import type { Content } from '../../../protocols/define.ts'

export type Json = { readonly [key: string]: unknown }

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** In CBOR and in payloads that are bytes, a check by a function is one for bytes; in JSON it is one for any value. */
const BYTES = { type: 'string', format: 'binary' } as const

/** What a member may send: defaults may be left out, and fields that are not named are ignored. */
export const jsonSchemaOf = (type: z.ZodType, content: Content = 'json'): Json => {
  const { $schema: _, ...schema } = z.toJSONSchema(type, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'custom' && content !== 'json') Object.assign(jsonSchema, BYTES)
    },
  })
  return schema
}

/** The schema with these fields in the place of its own. */
export const withFields = (schema: Json, fields: Json): Json => ({
  ...schema,
  properties: { ...(isObject(schema.properties) ? schema.properties : {}), ...fields },
})

const requires = (schema: Json, field: string): boolean =>
  Array.isArray(schema.required) && schema.required.includes(field)
const has = (schema: Json, field: string): boolean => isObject(schema.properties) && field in schema.properties

/** Who may make a change of tasks, by what it has to name: the journal checks just that when it applies one. */
export const whoMay = (change: Json): string => {
  if (requires(change, 'epoch')) return 'the coordinator of the epoch that it names'
  if (requires(change, 'fence')) return 'the assignee, under the fence of its attempt'
  if (has(change, 'epoch'))
    return 'who submitted the task or its parent; the coordinator of the epoch that it names, for holders of coordinate'
  if (requires(change, 'registration')) return 'any member, of what is its own, in the life that it names'
  return requires(change, 'id') ? 'who asked for it' : 'any member, of what is its own'
}
