/** `parley describe`: what an agent offers, or what a protocol is and who offers it, with its schemas. */
import { type Described, DescribedSchema } from '../../../control/control-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type KnownAgents, nodeThatKnows } from '../../connect/choose-node.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { columnsOf, wrapped } from '../../output/table.ts'

export interface DescribeOptions extends Omit<NodeSelector, 'url'> {
  json?: boolean
}

type Agent = Described['agents'][number]
type Protocol = Agent['protocols'][number]
type Method = Protocol['methods'][number]

/** Begins the entry of a type of message that an agent receives. */
const MESSAGE = 'message/'
const INDENT = '    '

const factsOf = ({ kind, idempotent, timeoutMs, content }: Method): string =>
  [
    kind,
    ...(idempotent === true ? ['idempotent'] : []),
    ...(timeoutMs === undefined ? [] : [`${timeoutMs} ms`]),
    ...(content === undefined ? [] : [content]),
  ].join(', ')

const MAX_DEPTH = 6

type Json = Record<string, unknown>
const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A schema as a type: `{ text: string, n?: number }`; --json has all of it. */
const typeText = (schema: unknown, depth = 0): string => {
  if (!isMap(schema) || depth > MAX_DEPTH) return 'unknown'
  const { type, enum: values, anyOf, oneOf, items, properties, required } = schema
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(' | ')
  const choices = anyOf ?? oneOf
  if (Array.isArray(choices)) return choices.map((one) => typeText(one, depth + 1)).join(' | ')
  if (type === 'array') return `${typeText(items, depth + 1)}[]`
  if (type !== 'object') return typeof type === 'string' ? type : 'unknown'
  const needed = Array.isArray(required) ? required : []
  const fields = Object.entries(isMap(properties) ? properties : {}).map(
    ([name, field]) => `${name}${needed.includes(name) ? '' : '?'}: ${typeText(field, depth + 1)}`,
  )
  if (fields.length > 0) return `{ ${fields.join(', ')} }`
  return isMap(schema.additionalProperties) ? `{ [name]: ${typeText(schema.additionalProperties, depth + 1)} }` : '{}'
}

const schemaLines = (what: string, schema: Json | undefined, room: number): string[] =>
  schema === undefined ? [] : wrapped(`${INDENT}${what} ${typeText(schema)}`, room)

const methodLines = (protocol: string, method: Method, room: number): string[] => [
  `  ${protocol}.${method.name} (${factsOf(method)})`,
  ...(method.description === undefined
    ? []
    : wrapped(method.description, room - INDENT.length).map((line) => INDENT + line)),
  ...schemaLines('takes', method.request, room),
  ...schemaLines(method.kind === 'stream' ? 'gives items' : 'gives', method.response, room),
]

const protocolLines = ({ name, version, methods }: Protocol, room: number): string[] =>
  name.startsWith(MESSAGE)
    ? [`receives messages ${name.slice(MESSAGE.length)} ${version}`]
    : [`${name} ${version}`, ...methods.flatMap((method) => methodLines(name, method, room))]

/** Of several versions that are offered each one once. */
const versionsOf = (agents: readonly Agent[]): Protocol[] => [
  ...new Map(agents.flatMap(({ protocols }) => protocols.map((one) => [one.version, one] as const))).values(),
]

export const describedText = ({ kind, agents }: Described, room: number): string => {
  const lines =
    kind === 'agent'
      ? agents.flatMap(({ name, id, state, labels, addresses, protocols }) => [
          `${name} ${id}, ${state}`,
          ...addresses.map((address) => `  ${address}`),
          ...Object.entries(labels).map(([label, value]) => `  ${label}=${value}`),
          ...(protocols.length === 0
            ? ['offers nothing']
            : protocols.flatMap((one) => ['', ...protocolLines(one, room)])),
        ])
      : [
          ...versionsOf(agents).flatMap((one) => [...protocolLines(one, room), '']),
          'offered by',
          ...agents.map(
            ({ name, id, state, protocols }) => `  ${name} ${id}, ${state}, ${protocols[0]?.version ?? ''}`,
          ),
        ]
  return lines.map(escapeText).join('\n')
}

const isKnown =
  (what: string) =>
  (agents: KnownAgents): boolean =>
    agents.some(({ id, name, protocols }) => what === id || what === name || protocols.some((one) => one.name === what))

export const describe = async (what: string, { json, ...which }: DescribeOptions): Promise<void> => {
  const { control } = await findControlledNode((await nodeThatKnows(which, isKnown(what))) ?? which)
  const found = await control.ask('POST', '/api/describe', DescribedSchema, { body: { what } })
  const text = json === true ? JSON.stringify(found) : describedText(found, columnsOf(process.stdout))
  process.stdout.write(`${text}\n`)
}
