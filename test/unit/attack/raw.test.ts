import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readRecord, verifyRecord } from '../../../discovery/directory/record/agent-record.ts'
import { deriveAuthority } from '../../../node/trust/secret.ts'
import { verifyToken } from '../../../node/trust/token.ts'
import { decodeRaftPacket } from '../../../protocols/consensus/raft/raft-codec.ts'
import { decodeBatch } from '../../../protocols/events/batch/batch-decoder.ts'
import { readFrame } from '../../../protocols/wire/frames/frame.ts'
import {
  bytesField,
  joined,
  lengthPrefixed,
  numberField,
  readFields,
  readVarint,
  varint,
} from '../../attack/raw/bytes.ts'
import { createFrameReader, frameBytes, KIND, requestBytes } from '../../attack/raw/frames.ts'
import { configurationText, stepBytes } from '../../attack/raw/raft.ts'
import { batchBytes, inventSigner, recordBytes } from '../../attack/raw/signed.ts'
import { makeToken } from '../../attack/raw/token.ts'

/** An attacker whose bytes nobody can read is held off by accident: the product's own readers have to take them. */

test('numbers and bytes that are written are read again', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.uint8Array({ minLength: 1 }), (number, bytes) => {
      const fields = readFields(joined(numberField(3, number), bytesField(9, bytes)))
      assert.equal(fields.number(3), number)
      assert.deepEqual(Uint8Array.from(fields.bytes(9)), bytes)
      assert.deepEqual(readVarint(Uint8Array.from(varint(number)), 0)?.value, number)
    }),
  )
})

test('a varint that is not all there is told from one that is', () => {
  assert.equal(readVarint(Uint8Array.of(0x80), 0), undefined)
  assert.equal(readVarint(new Uint8Array(0), 0), undefined)
})

test('frames are read again however they were cut', () => {
  const sent = [0, 1, 2].map((exchange) => ({ kind: KIND.response, exchange, payload: 'x'.repeat(exchange * 200) }))
  const bytes = joined(...sent.map(frameBytes))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: bytes.length }), (size) => {
      const read = createFrameReader()
      const frames = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        read(bytes.subarray(i * size, (i + 1) * size)),
      ).flat()
      assert.deepEqual(
        frames.map(({ exchange, payload }) => [exchange, payload.length]),
        [
          [0, 0],
          [1, 200],
          [2, 400],
        ],
      )
    }),
  )
})

test("the product's own reader takes a forged frame", () => {
  const bytes = frameBytes({ kind: KIND.request, exchange: 7, method: 'echo', payload: '{}', timeoutMs: 9, credit: 1 })
  const length = readVarint(bytes, 0)
  const { kind, exchange, method, timeoutMs, credit } = readFrame(bytes, length?.end ?? 0, bytes.length)
  assert.deepEqual([kind, exchange, method, timeoutMs, credit], [KIND.request, 7, 'echo', 9, 1])
})

test('a large request goes in parts', () => {
  const frames = createFrameReader()(requestBytes({ exchange: 1, method: 'echo', payload: 'x'.repeat(150_000) }))
  assert.deepEqual(
    frames.map(({ more, method, payload }) => [more, method, payload.length]),
    [
      [true, 'echo', 60_000],
      [true, '', 60_000],
      [false, '', 30_000],
    ],
  )
  assert.equal(lengthPrefixed(new Uint8Array(3)).length, 4)
})

test("the voters' own reader takes each kind of forged message", () => {
  const step = stepBytes({
    group: 'g',
    from: 'a.aa',
    to: 'b.bb',
    type: 'append',
    term: 1_000,
    index: 4,
    indexTerm: 3,
    commit: 5,
    entries: [{ index: 5, term: 3, kind: 'configuration', data: configurationText('a.aa') }],
  })
  const { from, message } = decodeRaftPacket(step)
  assert.equal(from, 'a.aa')
  assert.ok(message.type === 'append')
  assert.deepEqual([message.term, message.commit, message.entries[0]?.kind], [1_000, 5, 'configuration'])
  for (const type of ['vote', 'voted', 'appended', 'timeout-now', 'read', 'read-at'] as const) {
    assert.equal(
      decodeRaftPacket(stepBytes({ group: 'g', from: 'a.aa', to: 'b.bb', type, term: 1 })).message.type,
      type,
    )
  }
})

test('batches, records and tokens are signed as members sign them', async () => {
  const signer = await inventSigner()
  const plan = { mesh: 'm', word: 'w', epoch: 1, first: 1, events: [{ topic: 'w.a', data: { a: 1 } }] }
  const batch = decodeBatch(await batchBytes(signer, plan))
  assert.deepEqual([batch.publisher, batch.word, batch.spans.length], [signer.id, 'w', 2])

  const { peerIdFromString } = await import('@libp2p/peer-id')
  const key = peerIdFromString(signer.id).publicKey
  const port = {
    verify: async (_: string, bytes: Uint8Array, signature: Uint8Array) => key?.verify(bytes, signature) ?? false,
  }
  const signed = await recordBytes(signer, 'm', { name: 'ghost', addresses: [] })
  const { record } = readRecord(signed, 'm')
  assert.ok(record !== undefined && (await verifyRecord(port, record, signed)))

  const authority = await deriveAuthority('a secret', 'm')
  const token = await makeToken({ secret: 'a secret', mesh: 'm', peer: signer.id })
  const claims = await verifyToken(token, [authority], { peer: signer.id, mesh: 'm', nowMs: Date.now() })
  assert.equal(claims.sub, signer.id)
})
