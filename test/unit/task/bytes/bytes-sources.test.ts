/** Bytes of other nodes: what comes too slowly ends, whatever is said meanwhile. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { hasher } from '../../../../node/platform/platform.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { Port } from '../../../../protocols/port.ts'
import { fetchBytes } from '../../../../protocols/task/bytes/bytes-sources.ts'

const MIB = 2 ** 20
const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** A peer that gives so many bytes each so often. */
const create = (all: Uint8Array, partBytes: number, everyMs: number) => {
  const time = createVirtualTime()
  let isEnded = false
  const fetch = async function* (_place: unknown, { signal }: { signal: AbortSignal }) {
    signal.addEventListener('abort', () => {
      isEnded = true
    })
    for (let at = 0; at < all.length; at += partBytes) {
      await new Promise<void>((resolve) => time.after(everyMs, resolve))
      yield { bytes: all.subarray(at, at + partBytes) }
    }
  }
  const port = {
    ...{ hasher, timers: time, clock: { monotonic: () => time.now(), now: () => time.now() } },
    to: () => ({ fetch }),
  } as unknown as Pick<Port, 'hasher' | 'to' | 'clock' | 'timers'>
  const place = { task: 't', row: 'input', hash: Buffer.from(hash(all)).toString('hex'), size: all.length }
  return {
    time,
    isEnded: () => isEnded,
    fetch: () => fetchBytes(port, 'peer', place, { as: 'fetch', graceMs: 10_000, signal: undefined }),
  }
}

test('what comes a byte at a time is given up soon, and what comes at a slow pace is not', async () => {
  const drip = create(new Uint8Array(64), 1, 900)
  const failed = await drip.time.settled(
    drip.fetch().catch((error: unknown) => error),
    12_000,
  )
  assert.ok(isParleyError(failed, 'COM001'))
  assert.ok(drip.isEnded())
  // Just as fast as it must.
  const steady = create(new Uint8Array(MIB).fill(7), 65_536, 117)
  assert.equal((await steady.time.settled(steady.fetch(), 10_000)).length, MIB)
})

test('what never comes is given up', async () => {
  const silent = create(new Uint8Array(1), 1, 10 ** 9)
  const failed = await silent.time.settled(
    silent.fetch().catch((error: unknown) => error),
    12_000,
  )
  assert.ok(isParleyError(failed, 'COM001'))
})
