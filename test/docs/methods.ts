/** The protocols that each node serves, as their contracts say: methods, and the fields of what goes in and comes out. Pure. */
import * as z from 'zod'
import { directoryProtocol } from '../../discovery/directory/protocol.ts'
import { presenceProtocol } from '../../discovery/swim/protocol.ts'
import { replyProtocol } from '../../node/calls/reply-to.ts'
import { overlayProtocol } from '../../node/network/connection-pruning.ts'
import { autonatProtocol } from '../../node/network/nat/autonat.ts'
import { neighboursProtocol } from '../../node/observe/debug/sources/neighbours.ts'
import { admissionProtocol } from '../../node/trust/credentials.ts'
import { budgetProtocol } from '../../protocols/budget/contract.ts'
import { commandProtocol } from '../../protocols/command/command-definition.ts'
import { foundingProtocol } from '../../protocols/consensus/bootstrap/contract.ts'
import { raftProtocol } from '../../protocols/consensus/contract.ts'
import { proofProtocol } from '../../protocols/consensus/proof/contract.ts'
import { coalitionProtocol } from '../../protocols/coordination/coalition/coalition-contract.ts'
import {
  coordinationProtocol,
  performanceMonitorProtocol,
  resourceManagerProtocol,
} from '../../protocols/coordination/contract.ts'
import { coordinatorProtocol } from '../../protocols/coordinator/contract.ts'
import { type AnyProtocol, type Content, kindOf, type Method, wireId } from '../../protocols/define.ts'
import { deliveryProtocol } from '../../protocols/delivery/contract.ts'
import { eventsProtocol } from '../../protocols/events/protocol.ts'
import { journalProtocol } from '../../protocols/journal/contract.ts'
import { resourceProtocol } from '../../protocols/resource/contract.ts'
import { taskBytesProtocol } from '../../protocols/task/bytes/bytes-contract.ts'
import { taskProtocol } from '../../protocols/task/contract.ts'
import { waitsProtocol } from '../../protocols/wait-graph/contract.ts'

const command = commandProtocol({ type: 'type', parameters: z.unknown() })

/** In the order of a node's life, each with the file that has its contract. */
export const INTERNAL = [
  [admissionProtocol, 'node/trust/credentials.ts'],
  [directoryProtocol, 'discovery/directory/protocol.ts'],
  [presenceProtocol, 'discovery/swim/protocol.ts'],
  [eventsProtocol, 'protocols/events/protocol.ts'],
  [neighboursProtocol, 'node/observe/debug/sources/neighbours.ts'],
  [overlayProtocol, 'node/network/connection-pruning.ts'],
  [autonatProtocol, 'node/network/nat/autonat.ts'],
  [waitsProtocol, 'protocols/wait-graph/contract.ts'],
  [deliveryProtocol, 'protocols/delivery/contract.ts'],
  [command, 'protocols/command/command-definition.ts'],
  [replyProtocol, 'node/calls/reply-to.ts'],
  [foundingProtocol, 'protocols/consensus/bootstrap/contract.ts'],
  [raftProtocol, 'protocols/consensus/contract.ts'],
  [proofProtocol, 'protocols/consensus/proof/contract.ts'],
  [journalProtocol, 'protocols/journal/contract.ts'],
  [taskProtocol, 'protocols/task/contract.ts'],
  [taskBytesProtocol, 'protocols/task/bytes/bytes-contract.ts'],
  [resourceProtocol, 'protocols/resource/contract.ts'],
  [budgetProtocol, 'protocols/budget/contract.ts'],
  [coordinationProtocol, 'protocols/coordination/contract.ts'],
  [performanceMonitorProtocol, 'protocols/coordination/contract.ts'],
  [resourceManagerProtocol, 'protocols/coordination/contract.ts'],
  [coalitionProtocol, 'protocols/coordination/coalition/coalition-contract.ts'],
  [coordinatorProtocol, 'protocols/coordinator/contract.ts'],
] as unknown as readonly (readonly [protocol: AnyProtocol, file: string])[]

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

/** What comments say of a field: those of its side of the method, else that of the only field of that name in the file. */
type MeaningOf = (side: string, field: string) => string

const fieldComments = (source: string): Map<string, string[]> => {
  const comments = new Map<string, string[]>()
  for (const [, comment = '', field = ''] of source.matchAll(/\/\*\*\s+([^/]*?)\s*\*\/\n\s+(\w+):/g))
    comments.set(field, [...(comments.get(field) ?? []), comment.replace(/\s*\n\s*\* ?/g, ' ').replace(/^\* /, '')])
  return comments
}

/** @param source of the file with the contract */
const meaningsOf = (source: string, method: string): MeaningOf => {
  const ofFile = fieldComments(source)
  const [, block = ''] = new RegExp(`\\n    ${method}: \\{\\n([\\s\\S]*?)\\n    \\},`).exec(source) ?? []
  const [request = '', answer = ''] = block.split(/\n {6}(?:response|stream):/)
  const bySide = { request: fieldComments(request), answer: fieldComments(answer) }
  return (side, field) => {
    const own = bySide[side === 'request' ? 'request' : 'answer'].get(field)
    const all = ofFile.get(field) ?? []
    const times = source.match(new RegExp(`\\b${field}: `, 'g'))?.length ?? 0
    const text = own?.[0] ?? (times === 1 ? all[0] : undefined) ?? ''
    return text.replace(/\.$/, '').replaceAll('|', '\\|')
  }
}

const rowsOf = (side: string, type: z.ZodType, content: Content, meaningOf: MeaningOf): string[] => {
  const schema = schemaOf(type, content)
  const required = new Set(schema.required ?? [])
  const fields = Object.entries(schema.properties ?? {}).filter((entry): entry is [string, Json] => isSchema(entry[1]))
  if (schema.type !== 'object') return [`| ${side} | | ${typeOf(schema)} | |`]
  if (fields.length === 0) return [`| ${side} | | nothing: \`{}\` | |`]
  return fields.map(
    ([name, inner]) =>
      `| ${side} | \`${name}\`${required.has(name) ? '' : ' (optional)'} | ${typeOf(inner)} | ${meaningOf(side, name)} |`,
  )
}

const answerOf = (method: Method): readonly [side: string, type: z.ZodType][] => {
  if ('response' in method) return [['response', method.response as z.ZodType]]
  return 'stream' in method ? [['item', method.stream as z.ZodType]] : []
}

const methodText = (name: string, method: Method, meaningOf: MeaningOf): string => {
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
    ...rowsOf('request', method.request as z.ZodType, content, meaningOf),
    ...answerOf(method).flatMap(([side, type]) => rowsOf(side, type, content, meaningOf)),
  ]
  const about = method.description === undefined ? '' : `${method.description}.\n\n`
  return `**\`${name}\`** (${facts.join(', ')})\n\n${about}| | Field | Type | Meaning |\n|---|---|---|---|\n${rows.join('\n')}`
}

/** A section for each protocol. @param read the text of a source */
export const methods = (read: (path: string) => string): string =>
  INTERNAL.map(([protocol, file]) => {
    const source = read(file)
    const texts = Object.entries(protocol.methods).map(([name, method]) =>
      methodText(name, method, meaningsOf(source, name)),
    )
    const id = protocol === (command as unknown) ? '/parley/command-<type>/<major>' : wireId(protocol)
    return `### \`${id}\`, version ${protocol.version}\n\n${texts.join('\n\n')}`
  }).join('\n\n')
