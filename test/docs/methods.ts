/** The protocols that each node serves, as their contracts say: methods, and the fields of what goes in and comes out. Pure. */
import * as z from 'zod'
import { directoryProtocol } from '../../discovery/directory/protocol.ts'
import { presenceProtocol } from '../../discovery/swim/protocol.ts'
import { replyProtocol } from '../../node/calls/reply-to.ts'
import { overlayProtocol } from '../../node/network/connection-pruning.ts'
import { autonatProtocol } from '../../node/network/nat/autonat.ts'
import { neighboursProtocol } from '../../node/observe/debug/sources/neighbours.ts'
import { admissionProtocol } from '../../node/trust/credentials.ts'
import { commandProtocol } from '../../protocols/command/command-definition.ts'
import { foundingProtocol } from '../../protocols/consensus/bootstrap/contract.ts'
import { raftProtocol } from '../../protocols/consensus/contract.ts'
import { proofProtocol } from '../../protocols/consensus/proof/contract.ts'
import { coordinatorProtocol } from '../../protocols/coordinator/contract.ts'
import { type AnyProtocol, type Content, kindOf, type Method, wireId } from '../../protocols/define.ts'
import { deliveryProtocol } from '../../protocols/delivery/contract.ts'
import { eventsProtocol } from '../../protocols/events/protocol.ts'
import { journalProtocol } from '../../protocols/journal/contract.ts'

const command = commandProtocol({ type: 'type', parameters: z.unknown() })

/** In the order of a node's life. */
export const INTERNAL: readonly AnyProtocol[] = [
  admissionProtocol,
  directoryProtocol,
  presenceProtocol,
  eventsProtocol,
  neighboursProtocol,
  overlayProtocol,
  autonatProtocol,
  deliveryProtocol,
  command,
  replyProtocol,
  foundingProtocol,
  raftProtocol,
  proofProtocol,
  journalProtocol,
  coordinatorProtocol,
] as unknown as readonly AnyProtocol[]

type Json = z.core.JSONSchema.JSONSchema

/** Characters of a pattern that are still read. */
const MAX_PATTERN = 40

const shown = (value: number): string => value.toLocaleString('en-US')

const range = ({ minimum, maximum, exclusiveMinimum }: Json): string => {
  const from = minimum ?? (typeof exclusiveMinimum === 'number' ? exclusiveMinimum + 1 : undefined)
  const least = from !== undefined && from > -Number.MAX_SAFE_INTEGER ? from : undefined
  const most = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : undefined
  if (least !== undefined && most !== undefined) return ` ${shown(least)} to ${shown(most)}`
  return least === undefined ? (most === undefined ? '' : ` up to ${shown(most)}`) : ` from ${shown(least)}`
}

const isSchema = (value: unknown): value is Json => typeof value === 'object' && value !== null

const typeOf = (schema: Json): string => {
  const alternatives = schema.anyOf ?? schema.oneOf
  if (alternatives !== undefined) return alternatives.filter(isSchema).map(typeOf).join(' or ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.type === 'string') {
    const form =
      schema.pattern !== undefined && schema.pattern.length <= MAX_PATTERN ? ` of the form \`${schema.pattern}\`` : ''
    return `text${form}${schema.maxLength === undefined ? '' : ` of up to ${shown(schema.maxLength)} characters`}`
  }
  if (schema.type === 'integer') return `whole number${range(schema)}`
  if (schema.type === 'number') return `number${range(schema)}`
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'array') {
    const items = isSchema(schema.items) ? (schema.items as Json) : {}
    return `list${schema.maxItems === undefined ? '' : ` of up to ${shown(schema.maxItems)}`}: ${typeOf(items)}`
  }
  if (schema.type !== 'object') return schema.$comment ?? 'any JSON value'
  const fields = Object.entries(schema.properties ?? {}).filter((entry): entry is [string, Json] => isSchema(entry[1]))
  if (fields.length === 0) return schema.additionalProperties === false ? '{ }' : 'object'
  const required = new Set(schema.required ?? [])
  return `{ ${fields.map(([name, inner]) => `${name}${required.has(name) ? '' : '?'}: ${typeOf(inner)}`).join('; ')} }`
}

/** A check by a function says nothing of its type to JSON Schema: in CBOR they are for bytes here, in JSON for any value. */
const schemaOf = (type: z.ZodType, content: Content): Json =>
  z.toJSONSchema(type, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'custom' && content !== 'json') jsonSchema.$comment = 'bytes'
    },
  }) as Json

const rowsOf = (side: string, type: z.ZodType, content: Content): string[] => {
  const schema = schemaOf(type, content)
  const required = new Set(schema.required ?? [])
  const fields = Object.entries(schema.properties ?? {}).filter((entry): entry is [string, Json] => isSchema(entry[1]))
  if (schema.type !== 'object') return [`| ${side} | | ${typeOf(schema)} |`]
  if (fields.length === 0) return [`| ${side} | | nothing: \`{}\` |`]
  return fields.map(
    ([name, inner]) => `| ${side} | \`${name}\`${required.has(name) ? '' : ' (optional)'} | ${typeOf(inner)} |`,
  )
}

const answerOf = (method: Method): readonly [side: string, type: z.ZodType][] => {
  if ('response' in method) return [['response', method.response as z.ZodType]]
  return 'stream' in method ? [['item', method.stream as z.ZodType]] : []
}

const methodText = (name: string, method: Method): string => {
  const { content = 'json' } = method
  const facts = [
    kindOf(method),
    content.toUpperCase().replace('BYTES', 'bytes'),
    ...(method.timeoutMs === undefined ? [] : [`${method.timeoutMs.toLocaleString('en-US')} ms`]),
    ...(method.priority === undefined ? [] : [`priority ${method.priority}`]),
    ...(method.idempotent === true ? ['idempotent'] : []),
    ...(method.capability === undefined ? [] : [`needs the capability \`${method.capability}\``]),
  ]
  const rows = [
    ...rowsOf('request', method.request as z.ZodType, content),
    ...answerOf(method).flatMap(([side, type]) => rowsOf(side, type, content)),
  ]
  const about = method.description === undefined ? '' : `${method.description}.\n\n`
  return `**\`${name}\`** (${facts.join(', ')})\n\n${about}| | Field | Type |\n|---|---|---|\n${rows.join('\n')}`
}

/** A section for each protocol. */
export const methods = (): string =>
  INTERNAL.map((protocol) => {
    const texts = Object.entries(protocol.methods).map(([name, method]) => methodText(name, method))
    const id = protocol === (command as unknown) ? '/parley/command-<type>/<major>' : wireId(protocol)
    return `### \`${id}\`, version ${protocol.version}\n\n${texts.join('\n\n')}`
  }).join('\n\n')
