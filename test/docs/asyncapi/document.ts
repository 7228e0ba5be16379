/**
 * The document of the protocol, AsyncAPI 3.1: docs/asyncapi.json. A channel for each protocol, topic and carrier; an operation for
 * each method, event, command of the journal and change of a part; a message for each direction. What AsyncAPI has no word
 * for stands in fields that begin with `x-`. Pure.
 */
import { CARRIED, EVENTS, JOURNAL_KINDS, PROTOCOLS } from '../wire-types.ts'
import { addChanges, addKind } from './journal.ts'
import { type Json, jsonSchemaOf } from './json-schemas.ts'
import { addFault, addProtocol } from './protocols.ts'
import { addMessage, CONTENT_TYPES, RESOURCE_VECTORS, ref, type Sections, VECTORS } from './sections.ts'
import { addEvent, addPresence } from './topics.ts'

const addCarried = (to: Sections): void => {
  const id = 'carried'
  to.channels[id] = {
    address: null,
    title:
      'Messages of tasks and resources as other programs write them: they reach mesh.tasks.receive and mesh.resources.receive over whatever carries them',
    messages: {},
    'x-transport': { kind: 'any' },
  }
  const refs = Object.entries(CARRIED).flatMap(([where, schemas]) =>
    Object.entries(schemas).map(([type, schema]) => {
      const message = addMessage(to, id, type, {
        contentType: CONTENT_TYPES.json,
        payload: jsonSchemaOf(schema),
        'x-vectors': `${type.startsWith('resource.') ? RESOURCE_VECTORS : VECTORS}#/${where}/${type}`,
      })
      return { where, type, message }
    }),
  )
  const channel = ref('channels', id)
  const answered = refs.filter(({ where }) => where === 'answers').map(({ message }) => message)
  for (const { where, type, message } of refs)
    if (where === 'messages')
      to.operations[type] = { action: 'receive', channel, messages: [message], reply: { channel, messages: answered } }
}

const ABOUT = [
  'What members of a Parley mesh say to each other, made from the contracts in the sources by `npm run docs`.',
  'Each operation is seen from the member that serves it; any member may be the other side, within `x-allowed`.',
  'Rules, byte strings and the order of the first minute are in docs/protocol.md, frames in docs/wire-format.md.',
  'Beside these a member speaks identify, ping and gossipsub of libp2p, and where they are on its relay and Kademlia.',
].join(' ')

export const ASYNC_API_VERSION = '3.1.0'

/** @param version of the package */
export const asyncApi = (version: string): Json => {
  const to: Sections = { channels: {}, operations: {}, messages: {}, schemas: {} }
  addFault(to)
  for (const one of PROTOCOLS) addProtocol(to, one)
  addChanges(to)
  for (const kind of JOURNAL_KINDS) addKind(to, kind)
  for (const event of EVENTS) addEvent(to, event)
  addPresence(to)
  addCarried(to)
  const { channels, operations, messages, schemas } = to
  return {
    asyncapi: ASYNC_API_VERSION,
    id: 'urn:parley:mesh',
    info: { title: 'Parley', version, description: ABOUT, license: { name: 'MIT' } },
    defaultContentType: CONTENT_TYPES.json,
    channels,
    operations,
    components: { messages, schemas },
  }
}

const MAX_LINE = 320

/** What fits on one line, and else a line for each value in it: the package has no room for more of them. */
const linesOf = (value: unknown, indent: string): string => {
  const whole = JSON.stringify(value)
  if (typeof value !== 'object' || value === null || indent.length + whole.length <= MAX_LINE) return whole
  const inner = `${indent} `
  const isList = Array.isArray(value)
  const lines = Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .map(([key, one]) => `${inner}${isList ? '' : `${JSON.stringify(key)}: `}${linesOf(one, inner)}`)
  const [open, close] = isList ? ['[', ']'] : ['{', '}']
  return `${open}\n${lines.join(',\n')}\n${indent}${close}`
}

export const asyncApiText = (version: string): string => `${linesOf(asyncApi(version), '')}\n`
