/** Protocols in the document: a channel for each, an operation for each method, and the error that any of them may answer. Pure. */
import { type AnyProtocol, type Content, kindOf, type Method, wireId } from '../../../protocols/define.ts'
import { ERROR_REASONS } from '../../../protocols/error-reasons.ts'
import { CODES } from '../../../protocols/errors.ts'
import type { WireProtocol } from '../wire-types.ts'
import { type Json, jsonSchemaOf } from './json-schemas.ts'
import {
  addMessage,
  BUDGET_VECTORS,
  BYTES_VECTORS,
  CONTENT_TYPES,
  FAULT,
  inChannel,
  PLAN_VECTORS,
  RESOURCE_VECTORS,
  ref,
  type Sections,
  VECTORS,
  WAIT_VECTORS,
} from './sections.ts'

const COMMAND = 'command-type'
/** Of methods whose payload is bytes: the message in a .proto file. */
const PROTO: Readonly<Record<string, { readonly file: string; readonly message: string }>> = {
  'raft.step.request': { file: 'protocols/consensus/raft/raft.proto', message: 'Step' },
  'delivery.messages.request': { file: 'protocols/delivery/delivery.proto', message: 'Messages' },
  'delivery.answers.request': { file: 'protocols/delivery/delivery.proto', message: 'Answer' },
  'delivery.fire.request': { file: 'protocols/delivery/delivery.proto', message: 'Message' },
}
const FRAME = { file: 'protocols/wire/parley.proto', message: 'Frame' }

const faultSchema = (): Json => ({
  type: 'object',
  description: 'A peer of another version may send other codes: they are read as APP001.',
  properties: {
    code: { type: 'string', enum: Object.keys(CODES) },
    message: { type: 'string', maxLength: 2_000, description: 'For people.' },
    hint: { type: 'string', maxLength: 2_000, description: 'What to do next.' },
    details: { type: 'object', properties: { reason: { type: 'string' } }, additionalProperties: true },
  },
  required: ['code', 'message'],
  'x-codes': Object.fromEntries(
    Object.entries(CODES).map(([code, { name, severity, recovery }]) => {
      const reasons = Object.keys(Object.entries(ERROR_REASONS).find(([of]) => of === code)?.[1] ?? {})
      return [code, { name, severity, recovery, ...(reasons.length > 0 && { reasons }) }]
    }),
  ),
})

export const addFault = (to: Sections): void => {
  to.schemas[FAULT] = faultSchema()
  to.messages[FAULT] = {
    name: FAULT,
    title: 'An error, in place of an answer',
    summary: 'docs/errors.md says when each code is used, and what to do',
    contentType: CONTENT_TYPES.bytes,
    payload: ref('components', 'schemas', FAULT),
    'x-proto': { file: FRAME.file, message: 'Fault' },
  }
}

/** Where it is not any member, or one with a capability. */
const ALLOWED: Readonly<Record<string, string>> = {
  'admission.admit': 'any peer: it decides who is a member',
  'raft.step': 'voters and learners of the group: what others send has no effect',
}

const idOf = ({ name }: AnyProtocol): string => (name === COMMAND ? 'command' : name)

const answerOf = (method: Method): readonly [side: 'response' | 'item', schema: unknown] | undefined => {
  if ('response' in method) return ['response', method.response]
  return 'stream' in method ? ['item', method.stream] : undefined
}

export const factsOf = (name: string, method: Method): Json => {
  const { timeoutMs, attemptTimeoutMs, capability, priority = 'normal', idempotent = false, content = 'json' } = method
  return {
    ...{ name, kind: kindOf(method), priority, idempotent, content },
    timeoutMs: timeoutMs ?? 30_000,
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    ...(capability !== undefined && { capability }),
  }
}

/** By the id of the protocol. */
const VECTORS_OF: Readonly<Record<string, string>> = {
  ...{
    task: VECTORS,
    'task-bytes': BYTES_VECTORS,
    resource: RESOURCE_VECTORS,
    budget: BUDGET_VECTORS,
    waits: WAIT_VECTORS,
  },
  ...{
    coordination: PLAN_VECTORS,
    coalition: PLAN_VECTORS,
    'performance-monitor': PLAN_VECTORS,
    'resource-manager': PLAN_VECTORS,
  },
}

const payloadOf = (name: string, schema: unknown, content: Content): Json => {
  const proto = PROTO[name]
  const vectors = VECTORS_OF[name.split('.')[0] ?? '']
  return {
    contentType: CONTENT_TYPES[content],
    // Contracts hold zod schemas; the type of a protocol says no more than that.
    payload: jsonSchemaOf(schema as Parameters<typeof jsonSchemaOf>[0], content),
    ...(proto !== undefined && { 'x-proto': proto }),
    ...(vectors !== undefined && { 'x-vectors': `${vectors}#/protocol/${name.split('.').slice(1).join(' ')}` }),
  }
}

const addMethod = (to: Sections, id: string, name: string, method: Method): void => {
  const { description, capability, content = 'json' } = method
  const of = `${id}.${name}`
  const add = (side: string, schema: unknown): Json => {
    const message = `${of}.${side}`
    return addMessage(to, id, message, { title: `${name}: ${side}`, ...payloadOf(message, schema, content) })
  }
  const request = add('request', method.request)
  const answer = answerOf(method)
  to.operations[of] = {
    action: 'receive',
    channel: ref('channels', id),
    title: of,
    ...(description !== undefined && { summary: description }),
    messages: [request],
    ...(answer !== undefined && {
      reply: { channel: ref('channels', id), messages: [add(...answer), inChannel(id, FAULT)] },
    }),
    'x-method': factsOf(name, method),
    'x-allowed': ALLOWED[of] ?? (capability === undefined ? 'any member' : `members with the capability ${capability}`),
  }
}

export const addProtocol = (to: Sections, { protocol, file }: WireProtocol): void => {
  const id = idOf(protocol)
  const isCommand = protocol.name === COMMAND
  const [, name = '', major = ''] = /^\/parley\/(.+)\/(\d+)$/.exec(wireId(protocol)) ?? []
  to.channels[id] = {
    address: isCommand ? '/parley/command-{type}/{major}' : `/parley/${name}/${major}`,
    title: isCommand ? 'Commands, a protocol for each type' : `The protocol ${name}`,
    ...(isCommand && {
      parameters: {
        type: { description: 'Type of the command, with each . written as -- and each _ as ---' },
        major: { description: 'First number of its version' },
      },
    }),
    messages: { [FAULT]: ref('components', 'messages', FAULT) },
    'x-transport': { kind: 'libp2p-stream', version: protocol.version, frames: FRAME, contract: file },
  }
  for (const [method, facts] of Object.entries(protocol.methods)) addMethod(to, id, method, facts)
}
