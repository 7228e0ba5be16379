import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  EnvelopeSchema,
  Headers,
  MAX_HEADER_BYTES,
  MAX_HEADERS,
  MESSAGE_TYPES,
  PERFORMATIVES,
  PRIORITIES,
} from '../../../protocols/wire/envelope.ts'
import { WIRE_CONTENTS, WIRE_ENCODINGS, WIRE_PRIORITIES } from '../../../protocols/wire/frames/frame.ts'
import { FrameType } from '../../support/proto-oracle.ts'

const least = {
  id: '018bcfe5-687b-7102-8304-050600000007',
  timestamp: 1_700_000_000_000,
  source: 'alice',
  destination: 'bob',
  type: 'REQUEST',
  payload: {},
}
const fits = (more: Record<string, unknown>): boolean => EnvelopeSchema.safeParse({ ...least, ...more }).success
const headersOf = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, 'v']))

describe('envelope', () => {
  it('fills in what was left out', () => {
    assert.deepEqual(EnvelopeSchema.parse(least), {
      ...least,
      contentType: 'application/json',
      headers: {},
      priority: 'normal',
      metadata: {},
    })
  })

  it('ignores fields of a newer version', () => {
    assert.ok(!('new' in EnvelopeSchema.parse({ ...least, new: 1 })))
  })

  it('refuses what is no envelope', () => {
    for (const wrong of [
      { id: 'x' },
      { timestamp: -1 },
      { source: '' },
      { source: 'a'.repeat(129) },
      { destination: [] },
      { type: 'request' },
      { priority: 'urgent' },
      { ttl: 0 },
      { ttl: 1.5 },
      { deadline: 0 },
      { epoch: -1 },
      { sequence: -1 },
      { budget: { depth: -1 } },
      { headers: { a: 1 } },
    ]) {
      assert.equal(fits(wrong), false, JSON.stringify(wrong))
    }
  })

  it('holds each list and text to its bound, and takes it at the bound', () => {
    const bounds: [string, (size: number) => unknown, number][] = [
      ['source', (size) => 'a'.repeat(size), 128],
      ['replyTo', (size) => 'a'.repeat(size), 128],
      ['correlationId', (size) => 'a'.repeat(size), 128],
      ['conversationId', (size) => 'a'.repeat(size), 128],
      ['contentType', (size) => 'a'.repeat(size), 128],
      ['traceparent', (size) => 'a'.repeat(size), 64],
      ['destination', (size) => Array(size).fill('a'), 1024],
      ['chain', (size) => Array(size).fill('a'), 32],
    ]
    for (const [name, make, bound] of bounds) {
      assert.equal(fits({ [name]: make(bound) }), true, `${name} at ${bound}`)
      assert.equal(fits({ [name]: make(bound + 1) }), false, `${name} at ${bound + 1}`)
    }
  })
})

describe('headers', () => {
  it('may be 32 and not 33', () => {
    assert.equal(Headers.safeParse(headersOf(MAX_HEADERS)).success, true)
    assert.equal(Headers.safeParse(headersOf(MAX_HEADERS + 1)).success, false)
  })

  it('may take 4,096 bytes together, names included, and not one more', () => {
    const sized = (bytes: number) => ({ name: 'v'.repeat(bytes - 4) })
    assert.equal(Headers.safeParse(sized(MAX_HEADER_BYTES)).success, true)
    assert.equal(Headers.safeParse(sized(MAX_HEADER_BYTES + 1)).success, false)
  })

  it('are counted in bytes, not in characters', () => {
    assert.equal(Headers.safeParse({ n: '日'.repeat(1365) }).success, true)
    assert.equal(Headers.safeParse({ n: '日'.repeat(1366) }).success, false)
    assert.equal(Headers.safeParse({ n: '🙂'.repeat(1023) }).success, true)
    assert.equal(Headers.safeParse({ n: '🙂'.repeat(1024) }).success, false)
  })
})

describe('types and performatives', () => {
  // The closed lists and their mapping, written down once more by hand.
  const TYPES = ['REQUEST', 'RESPONSE', 'EVENT', 'COMMAND', 'NOTIFICATION', 'HEARTBEAT', 'BATCH']
  const MAPPING: Record<string, string[]> = {
    request: ['REQUEST', 'COMMAND'],
    query: ['REQUEST'],
    response: ['RESPONSE'],
    'inform-result': ['RESPONSE'],
    'inform-done': ['RESPONSE'],
    agree: ['RESPONSE'],
    refuse: ['RESPONSE'],
    failure: ['RESPONSE'],
    inform: ['EVENT', 'NOTIFICATION'],
    cfp: ['COMMAND'],
    propose: ['COMMAND'],
    accept: ['COMMAND'],
    reject: ['COMMAND'],
    cancel: ['COMMAND'],
    'not-understood': ['COMMAND'],
    open: ['COMMAND'],
    offer: ['COMMAND'],
    confirm: ['COMMAND'],
    end: ['COMMAND'],
  }

  it('are the seven of the catalogue, and no more', () => {
    assert.deepEqual([...MESSAGE_TYPES].sort(), TYPES.toSorted())
  })

  it('map every performative of the catalogue to its type, and no other', () => {
    assert.deepEqual(PERFORMATIVES, MAPPING)
  })

  it('have numbers on the wire that say the same as parley.proto', () => {
    const names = (name: string): string[] =>
      Object.entries(FrameType.lookupEnum(name).values)
        .sort(([, a], [, b]) => a - b)
        .map(([each]) => each.toLowerCase())
    assert.deepEqual([...WIRE_PRIORITIES], names('Priority'))
    assert.deepEqual([...WIRE_ENCODINGS], names('Encoding'))
    assert.deepEqual([...WIRE_CONTENTS], names('Content'))
    assert.deepEqual([...WIRE_PRIORITIES].sort(), [...PRIORITIES].sort())
  })
})
