/** Events and gossip in the document: a channel for each topic, an operation for each side of it. Pure. */
import { PRESENCE_TOPIC } from '../../../discovery/directory/protocol.ts'
import { firstWord } from '../../../protocols/events/topic.ts'
import { PRESENCE_RECORD, type WireEvent } from '../wire-types.ts'
import { type Json, jsonSchemaOf } from './json-schemas.ts'
import { addMessage, CONTENT_TYPES, PLAN_VECTORS, RESOURCE_VECTORS, ref, type Sections, VECTORS } from './sections.ts'

const SIGNED_BATCH = { file: 'protocols/events/batch.proto', message: 'SignedBatch' }

/** By the topic, or its first word. */
const VECTORS_OF: Readonly<Record<string, string | undefined>> = {
  ...{ tasks: VECTORS, 'state.changed': VECTORS, resources: RESOURCE_VECTORS },
  ...Object.fromEntries(['directive', 'status.*', 'progress'].map((word) => [`coordination.${word}`, PLAN_VECTORS])),
}

/** Words in braces of an address. */
const parametersOf = (address: string): Json => {
  const names = [...address.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  if (names.length === 0) return {}
  return { parameters: Object.fromEntries(names.map((name) => [name, { description: 'As its payload has it' }])) }
}

export const addEvent = (
  to: Sections,
  { definition: { topic, version, schema }, address, by, about }: WireEvent,
): void => {
  const id = `event.${address.replace(/\.\{\w+\}/g, '')}`
  to.channels[id] = {
    address,
    title: about,
    ...parametersOf(address),
    messages: {},
    'x-transport': {
      ...{ kind: 'gossipsub', topic: `parley/{mesh}/events/${firstWord(address)}`, carrier: SIGNED_BATCH },
      ...{ pattern: topic, version },
    },
  }
  const vectors = VECTORS_OF[topic] ?? VECTORS_OF[firstWord(topic)]
  const message = addMessage(to, id, id, {
    title: about,
    contentType: CONTENT_TYPES.json,
    payload: jsonSchemaOf(schema),
    ...(vectors !== undefined && { 'x-vectors': `${vectors}#/events/${topic}` }),
  })
  const channel = ref('channels', id)
  to.operations[`${id}.publish`] = { action: 'send', channel, summary: about, messages: [message], 'x-allowed': by }
  to.operations[`${id}.hear`] = { action: 'receive', channel, messages: [message], 'x-allowed': 'any member' }
}

export const addPresence = (to: Sections): void => {
  const id = `gossip.${PRESENCE_TOPIC}`
  to.channels[id] = {
    address: `parley/{mesh}/${PRESENCE_TOPIC}`,
    title: 'What agents say of themselves',
    parameters: { mesh: { description: 'Name of the mesh' } },
    messages: {},
    'x-transport': { kind: 'gossipsub', topic: `parley/{mesh}/${PRESENCE_TOPIC}` },
  }
  const message = addMessage(to, id, 'agent.record', {
    title: 'A signed record of an agent',
    contentType: 'application/octet-stream',
    payload: jsonSchemaOf(PRESENCE_RECORD),
    'x-framing': '64 bytes of the Ed25519 signature, then the payload as JSON in UTF-8; at most 65,536 bytes',
  })
  const channel = ref('channels', id)
  to.operations[`${id}.publish`] = { action: 'send', channel, messages: [message], 'x-allowed': 'the agent, of itself' }
  to.operations[`${id}.hear`] = { action: 'receive', channel, messages: [message], 'x-allowed': 'any member' }
}
