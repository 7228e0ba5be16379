import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fromString } from 'uint8arrays/from-string'
import { z } from 'zod'
import { hash } from '../../../../node/platform/platform.ts'
import { decodeBatch, eventDecoder, signedBytes } from '../../../../protocols/events/batch/batch-decoder.ts'
import { BatchDraft, putEvent, signingPrefixes } from '../../../../protocols/events/batch/batch-encoder.ts'
import type { EventAttributes } from '../../../../protocols/events/batch/event-attributes.ts'
import { ProtobufWriter } from '../../../../protocols/wire/frames/protobuf.ts'

const hex = z.string().transform((text) => new Uint8Array(Buffer.from(text, 'hex')))
const { mesh, seed, publisher, header, events, signed, before, ...vector } = z
  .object({
    mesh: z.string(),
    seed: hex,
    publisher: z.string(),
    header: z.object({ word: z.string(), epoch: z.int(), first: z.int(), sentAt: z.int(), waitedMs: z.int() }),
    events: z.array(z.looseObject({ topic: z.string(), text: z.string() })),
    signed: hex,
    hex,
    before: hex,
  })
  .parse(JSON.parse(readFileSync(new URL('../../../../test/interop/vectors/batches.json', import.meta.url), 'utf8')))
const prefixes = signingPrefixes(mesh)

const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))

test('the batch of the vectors is read, and what was signed is the digest of its body', () => {
  const batch = decodeBatch(vector.hex)
  assert.deepEqual({ ...batch, ...header, publisher }, batch)
  const eventAt = eventDecoder(batch)
  assert.deepEqual(
    events.map((_, i) => eventAt(i)),
    events,
  )
  const bytes = signedBytes(prefixes, hash, batch)
  assert.deepEqual(bytes, signed)
  assert.equal(verify(null, bytes, key, batch.signature), true)
})

test('the same batch is written byte by byte', () => {
  const writer = new ProtobufWriter()
  for (const { topic, text, ...attributes } of events)
    putEvent(writer, fromString(topic), text, attributes as EventAttributes)
  const draft = new BatchDraft(prefixes.digest, hash, { publisher, ...header }, writer.finish())
  assert.deepEqual(draft.toSign({ publisher, ...header }), signed)
  const sealed = draft.seal(decodeBatch(vector.hex).signature)
  assert.deepEqual(new Uint8Array(sealed), vector.hex)
})

test('as versions before signed it, it holds too, and neither signature counts for the other', () => {
  const batch = decodeBatch(before)
  assert.equal(batch.signed, 'body')
  assert.equal(verify(null, signedBytes(prefixes, hash, batch), key, batch.signature), true)
  const swapped = { ...batch, signed: 'digest' } as const
  assert.equal(verify(null, signedBytes(prefixes, hash, swapped), key, batch.signature), false)
})
