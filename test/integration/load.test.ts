/** Many calls at once, bounds, priority and ttl between two processes. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ParleyError } from '../../protocols/errors.ts'
import { type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

/** Handlers that the narrow node runs, and requests that wait there. */
const SLOTS = 1
/** A place more is kept for other peers. */
const QUEUE = 4
const DEAD_AFTER_MS = 1_500

describe('a peer under load', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let wide: Peer
  let narrow: Peer

  before(async () => {
    ours = await startMesh({
      name: 'ours',
      timings: { probePeriodMs: 200, probeTimeoutMs: 200, deadAfterMs: DEAD_AFTER_MS },
    })
    const join = ours.mesh.self.addresses
    ;[wide, narrow] = await Promise.all([
      startPeer({ name: 'wide', join }),
      startPeer({ name: 'narrow', join, limits: { maxActive: SLOTS, maxQueuedInbound: QUEUE + 1 } }),
    ])
    await untilKnown(ours.mesh, wide.id, narrow.id)
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  const figures = async (peer: Peer) => (await peer.ask('facts', undefined)).figures
  /** Takes the only slot of the narrow node; the returned call ends with `release`. */
  const occupy = async (tag: string) => {
    const call = ours.mesh.to(narrow.id, probe).hold({ tag })
    await until('the only slot is taken', async () => (await figures(narrow)).active === SLOTS)
    return { call }
  }
  const queued = (count: number) => until(`${count} wait there`, async () => (await figures(narrow)).queued === count)

  it('has 1,000 calls in work at once and answers each with its own', async () => {
    const tags = Array.from({ length: 1_000 }, (_, i) => `many-${i}`)
    const calls = tags.map((tag) => ours.mesh.to(wide.id, probe).hold({ tag }, { timeoutMs: 30_000 }))
    await until('all are in work', async () => (await figures(wide)).active === 1_000)
    assert.equal((await wide.ask('journal', undefined)).held.length, 1_000)
    await wide.ask('release', {})
    assert.deepEqual(
      (await Promise.all(calls)).map(({ tag }) => tag),
      tags,
    )
    assert.equal((await figures(wide)).active, 0)
  })

  it('takes more calls than a link has places: the rest wait their turn', async () => {
    const calls = Array.from({ length: 5_000 }, (_, i) => ours.mesh.to(wide.id, probe).echo({ text: `${i}` }))
    const answers = await Promise.all(calls)
    assert.ok(answers.every(({ text }, i) => text === `${i}`))
  })

  it('drops a request whose ttl passes while it waits for a slot, and counts it', async () => {
    const { call } = await occupy('before the ttl')
    const late = failureOf(ours.mesh.to(narrow.id, probe).echo({ text: 'too old' }, { ttlMs: 30 }))
    await queued(1)
    const startedAt = performance.now()
    await until('its time has passed', () => performance.now() - startedAt > 60)
    await narrow.ask('release', {})
    const error = await late
    assert.ok(error instanceof ParleyError)
    assert.deepEqual([error.code, error.remote], ['MSG005', true])
    assert.equal((await figures(narrow)).links.expired, 1)
    await call
  })

  it('refuses what neither finds a slot nor a place to wait with COM003 and a time to come back', async () => {
    const { call } = await occupy('full house')
    const stop = new AbortController()
    const waiting = Array.from({ length: QUEUE }, (_, i) =>
      ours.mesh
        .to(narrow.id, probe)
        .hold({ tag: `waiting ${i}` }, { signal: stop.signal })
        .catch(() => undefined),
    )
    await queued(QUEUE)
    const error = await failureOf(ours.mesh.to(narrow.id, probe).echo({ text: 'one too many' }, { timeoutMs: 400 }))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'COM003')
    assert.equal(error.details.retryAfterMs, 200)
    assert.ok((await figures(narrow)).links.overloaded >= 1)
    assert.ok(ours.mesh.figures().retries >= 1, 'it was tried again after that time')
    stop.abort()
    await Promise.all(waiting)
    await narrow.ask('release', {})
    await call
  })

  it('starts the most urgent of those that wait first', async () => {
    const { call } = await occupy('first of all')
    const order = ['low', 'normal', 'high', 'critical'] as const
    const calls = order.map((priority) =>
      ours.mesh.to(narrow.id, probe).hold({ tag: `urgency ${priority}` }, { priority }),
    )
    await queued(order.length)
    const expected = order.toReversed().map((priority) => `urgency ${priority}`)
    const all = Promise.all([call, ...calls])
    await narrow.ask('release', { tag: 'first of all' })
    for (const tag of expected) {
      await until(`${tag} runs`, async () => (await narrow.ask('journal', undefined)).held.includes(tag))
      await narrow.ask('release', { tag })
    }
    await all
    const { held } = await narrow.ask('journal', undefined)
    assert.deepEqual(held.slice(held.indexOf('first of all') + 1), expected)
  })

  it('stays connected and unsuspected however long all its slots are taken', async () => {
    const { call } = await occupy('long work')
    const changes: string[] = []
    const { stop: stopWatching } = ours.mesh.directory.onChange(({ type, agent }) =>
      changes.push(`${type} ${agent.state}`),
    )
    const startedAt = performance.now()
    await until('it would be taken for dead by now', () => performance.now() - startedAt > DEAD_AFTER_MS + 500, 5_000)
    stopWatching()
    assert.deepEqual(changes, [])
    assert.ok(ours.mesh.members().some(({ id }) => id === narrow.id))
    await narrow.ask('release', {})
    await call
  })
})
