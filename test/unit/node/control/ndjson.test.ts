import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { createNdjsonFeed, ndjsonLine, readNdjsonFeed } from '../../../../node/control/ndjson.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { failureOf, until } from '../../../support/until.ts'

const Item = z.object({ item: z.unknown() })
const gone = (): ParleyError => new ParleyError('COM002', 'cut off', { hint: 'look' })

const collect = async (stream: ReadableStream<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The bytes, cut where the numbers say. */
async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (const size of sizes) {
    yield bytes.subarray(at, at + size)
    at += size
  }
  yield bytes.subarray(at)
}

const read = async (chunks: AsyncIterable<Buffer>): Promise<unknown[]> => {
  const items: unknown[] = []
  for await (const { item } of readNdjsonFeed(chunks, Item, gone)) items.push(item)
  return items
}

async function* itemsOf(values: readonly unknown[]) {
  for (const item of values) yield { item }
}

test('what goes in comes out, however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue(), { maxLength: 20 }),
      fc.array(fc.nat({ max: 9 }), { maxLength: 40 }),
      async (values, sizes) => {
        let ends = 0
        const { stream } = createNdjsonFeed(
          () => itemsOf(values),
          () => {
            ends += 1
          },
        )
        assert.deepEqual(await read(cut(await collect(stream), sizes)), JSON.parse(JSON.stringify(values)))
        assert.equal(ends, 1)
      },
    ),
    { numRuns: 100 },
  )
})

test('bytes are written in base64, and large numbers as text', () => {
  assert.equal(ndjsonLine({ bytes: new Uint8Array([0, 255]), count: 2n }), '{"bytes":"AP8=","count":"2"}\n')
})

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('what a stream fails with comes to the reader, with code, hint and whose error it is', async () => {
  const before = timers()
  const failing = async function* () {
    yield { item: 1 }
    throw new ParleyError('STA003', 'full', { hint: 'empty it', details: { shelf: 7 }, remote: true })
  }
  const { stream } = createNdjsonFeed(failing, () => {})
  const error = await failureOf(read(cut(await collect(stream), [])))
  assert.ok(isParleyError(error, 'STA003') && error.remote)
  assert.deepEqual([error.message, error.hint, error.details], ['full', 'empty it', { shelf: 7 }])
  const unforeseen = createNdjsonFeed(
    async function* () {
      yield* []
      throw new TypeError('the cellar door')
    },
    () => {},
  )
  const told = await failureOf(read(cut(await collect(unforeseen.stream), [])))
  assert.ok(isParleyError(told, 'APP001') && !/cellar/.test(told.message))
  assert.equal(timers(), before)
})

test('a stream without an end was cut off; lines of a newer node are left out; what is no JSON is told', async () => {
  const ofText = (text: string): Promise<unknown[]> => read(cut(Buffer.from(text), []))
  assert.ok(isParleyError(await failureOf(ofText('{"item":1}\n')), 'COM002'))
  assert.ok(isParleyError(await failureOf(ofText('')), 'COM002'))
  assert.deepEqual(await ofText('{}\n{"item":1}\n{"new":2}\n{"type":"end"}\n'), [1])
  assert.ok(isParleyError(await failureOf(ofText('<html>\n')), 'MSG003'))
})

test('nothing is made before somebody reads, an idle stream gives signs of life, and leaving stops the work', async () => {
  let made = 0
  let reason: unknown
  let over = 0
  const { stream } = createNdjsonFeed(
    async function* (signal) {
      made += 1
      signal.addEventListener('abort', () => {
        reason = signal.reason
      })
      yield { item: 'first' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
    () => {
      over += 1
    },
    5,
  )
  assert.equal(made, 0)
  const reader = stream.getReader()
  const text = async (): Promise<string> => Buffer.from((await reader.read()).value ?? []).toString()
  assert.equal(await text(), '{"item":"first"}\n')
  assert.equal(await text(), '{}\n')
  await reader.cancel(new Error('enough'))
  await until('the work is told', () => reason)
  assert.deepEqual([made, over], [1, 1])
})

test('a feed that is ended from outside tells its reader why', async () => {
  const feed = createNdjsonFeed(
    async function* (signal) {
      yield { item: 1 }
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
    () => {},
  )
  const items = read(cutStream(feed.stream))
  await new Promise((resolve) => setImmediate(resolve))
  feed.end(new ParleyError('COM002', 'the node is stopping', { hint: 'later' }))
  const error = await failureOf(items)
  assert.ok(isParleyError(error, 'COM002') && error.message === 'the node is stopping')
})

async function* cutStream(stream: ReadableStream<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of stream) yield Buffer.from(chunk)
}
