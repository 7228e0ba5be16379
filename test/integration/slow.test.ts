/** Consumers that do not keep up: memory stays bounded on both sides, and whoever has time is served. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const MIB = 1 << 20
/**
 * What either process may grow by: gossip keeps some 15 MiB for neighbours that missed something, streams and queues a
 * few, what this test itself keeps is 10; the rest is what the garbage collector has not come to. Half of what is given.
 */
const GROWTH_MIB = 60

describe('a slow consumer', { timeout: 60_000 }, () => {
  const options = { mesh: 'slow', secret: makeSecret(), timings: { deadAfterMs: 2_000 } }
  let source: Peer
  let consumer: Peer
  let bystander: Peer

  before(async () => {
    source = await startPeer({ ...options, name: 'source' })
    const join = source.addresses
    ;[consumer, bystander] = await Promise.all([
      startPeer({ ...options, name: 'consumer', join }),
      startPeer({ ...options, name: 'bystander', join }),
    ])
    await Promise.all([consumer, bystander].map((peer) => peer.ask('joined', {})))
  })
  after(endProcesses)

  const memory = async (peer: Peer): Promise<number> => {
    const { heapUsed, arrayBuffers } = await peer.ask('memory', undefined)
    return heapUsed + arrayBuffers
  }
  const made = async (): Promise<number> => (await source.ask('journal', undefined)).made

  it('of a stream holds its producer back: what was not taken is not made', async () => {
    const before = await Promise.all([memory(source), memory(consumer)])
    const bytes = 32 * 1024
    // 3 GiB, if nobody held it back.
    const stream = await consumer.ask('openStream', { to: source.id, upTo: 100_000, bytes })
    await consumer.ask('take', { stream, count: 1 })
    let last = 0
    let steadySince = performance.now()
    const stood = await until('the producer stands still', async () => {
      const now = await made()
      if (now !== last) steadySince = performance.now()
      last = now
      return performance.now() - steadySince > 500 && now
    })
    assert.ok(stood * bytes < 16 * MIB, `${stood} items of ${bytes} bytes were made for a reader of one`)
    const grown = await Promise.all([memory(source), memory(consumer)])
    for (const [i, now] of grown.entries()) {
      const mib = (now - (before[i] ?? 0)) / MIB
      assert.ok(mib < GROWTH_MIB, `${i === 0 ? 'the source' : 'the consumer'} grew by ${mib} MiB`)
    }
    // Others are served meanwhile, and the stream goes on when it is read.
    assert.deepEqual(await bystander.ask('call', { to: source.id, method: 'echo', input: { text: 'x' } }), {
      text: 'x',
    })
    assert.deepEqual(await consumer.ask('call', { to: source.id, method: 'echo', input: { text: 'y' } }), { text: 'y' })
    const item = await consumer.ask('take', { stream, count: 2_000 })
    assert.equal(item?.n, 2_001)
    await consumer.ask('endStream', { stream })
    await until('the producer was told', async () => (await source.ask('journal', undefined)).streamsEnded === 1)
  })

  it('of events keeps a bounded queue and says what it dropped, while the next listener hears all', async () => {
    const queueEvents = 500
    const slow = await consumer.ask('subscribe', { pattern: 'flood.#', stuck: true, queueEvents })
    const quick = await consumer.ask('subscribe', { pattern: 'flood.#' })
    const before = await Promise.all([memory(source), memory(consumer)])
    const total = 30_000
    for (let from = 1; from <= total; from += 2_000) {
      await source.ask('publish', { topic: 'flood.water', from, count: 2_000, bytes: 4_000 })
    }
    await until('the quick one heard all', async () => (await consumer.ask('heard', quick)).count === total, 20_000)
    const heard = await consumer.ask('heard', slow)
    assert.equal(heard.dropped, total - queueEvents - 1)
    assert.deepEqual([heard.count, heard.missed], [1, heard.dropped])
    const grown = await Promise.all([memory(source), memory(consumer)])
    for (const [i, now] of grown.entries()) {
      const mib = (now - (before[i] ?? 0)) / MIB
      assert.ok(mib < GROWTH_MIB, `${i === 0 ? 'the source' : 'the consumer'} grew by ${mib} MiB`)
    }
    await consumer.ask('letGo', slow)
    await until('it took what had waited', async () => (await consumer.ask('heard', slow)).count === queueEvents + 1)
  })

  it('that is frozen fills no memory of who publishes, and holds the others up for a moment only', async () => {
    const quick = await bystander.ask('subscribe', { pattern: 'ice.#' })
    await consumer.ask('subscribe', { pattern: 'ice.#' })
    const before = await memory(source)
    consumer.freeze()
    try {
      let published = 0
      let peak = 0
      // 120 MB, all of which would wait for the frozen one.
      while (published < 15_000) {
        await source.ask('publish', { topic: 'ice.water', from: published + 1, count: 500, bytes: 8_000 })
        published += 500
        if (published % 2_500 === 0) peak = Math.max(peak, await memory(source))
      }
      await until(
        'the quick one heard all',
        async () => (await bystander.ask('heard', quick)).count === published,
        20_000,
      )
      assert.ok((peak - before) / MIB < GROWTH_MIB, `the source grew by ${(peak - before) / MIB} MiB`)
    } finally {
      consumer.thaw()
    }
    await until('it is back', async () => {
      const { members } = await source.ask('facts', undefined)
      return members.length === 2
    })
  })
})
