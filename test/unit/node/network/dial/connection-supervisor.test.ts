import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { createOverlay } from '../../../../../discovery/overlay.ts'
import { createConnectionSupervisor } from '../../../../../node/network/dial/connection-supervisor.ts'
import { createRandom, createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../../protocols/errors.ts'
import { keptLog } from '../../../../support/meshes.ts'

const DIAL_TIMEOUT_MS = 5_000
const at = (host: number): string => `/ip4/10.0.0.${host}/tcp/1`

/** The supervisor over dials that a test decides about. `live`: who answers at an address or under a peer id. */
const supervised = ({ join = [] as string[], nearby = false, self = 'a' } = {}) => {
  const addresses = new Map<string, string[]>()
  const time = createVirtualTime()
  const live = new Map<string, string>()
  const refusing = new Set<string>()
  /** Nobody listens there, and that is said at once. */
  const closed = new Set<string>()
  const connected = new Set<string>()
  const dials: { what: string; atMs: number; tried: string[] }[] = []
  const told = new Map<string, (addresses: string[]) => void>()
  const log = keptLog()
  let find: (peer: string, addresses: string[]) => void = () => {}
  let isSilent = false
  const overlay = createOverlay({ self, hash: (bytes) => createHash('sha256').update(bytes).digest() }, 64)
  const supervisor = createConnectionSupervisor({
    self,
    clock: { now: time.now, monotonic: time.now },
    timers: time,
    log,
    chance: createRandom(1),
    join,
    backoffMinMs: 250,
    backoffMaxMs: 5_000,
    overlay,
    connected: (peer) => connected.has(peer),
    addressesOf: (peer) => addresses.get(peer) ?? [],
    unreachable: () => {},
    peerAt: () => undefined,
    abortDials() {},
    isSelfDial: (error) => error instanceof Error && error.message === 'self',
    watchNames(names, found) {
      for (const name of names) told.set(name, (addresses) => found(name, addresses))
      return { refresh: () => {}, stop: () => {} }
    },
    nearby: nearby
      ? {
          start: (fn) => {
            find = fn
          },
          addressesOf: () => [],
          isSilent: () => isSilent,
          stop: () => {},
        }
      : undefined,
    async dial(tried, peer) {
      const what = peer ?? tried[0] ?? ''
      dials.push({ what, atMs: time.now(), tried })
      if (closed.has(what)) throw new Error(`connect ECONNREFUSED ${what}`)
      if (refusing.has(what)) throw new ParleyError('SEC001', `${what} refused`, { hint: '', details: { reason: 'x' } })
      const id = live.get(what)
      // Nothing comes back, as from an address that swallows packets.
      if (id === undefined) await new Promise<void>((resolve) => void time.after(DIAL_TIMEOUT_MS, resolve))
      if (id === undefined) throw new Error('no answer')
      connected.add(id)
      return { remotePeer: { toString: () => id } } as Connection
    },
  })
  return {
    ...{ time, live, refusing, closed, connected, dials, log, overlay, supervisor, addresses },
    tell: (name: string, addresses: string[]) => told.get(name)?.(addresses),
    found: (peer: string, addresses: string[] = [at(1)]) => find(peer, addresses),
    silent: () => {
      isSilent = true
    },
    dialled: (what: string) => dials.filter((dial) => dial.what === what).length,
  }
}

const NAME = '/dns4/seed.test/tcp/1'

test('a live join address is dialled at once, however many dead ones stand before it', async () => {
  const join = Array.from({ length: 64 }, (_, i) => at(i + 1))
  const { time, live, connected, supervisor } = supervised({ join })
  live.set(at(64), 'peer')
  supervisor.start()
  await time.until(() => connected.has('peer'), 100)
  supervisor.stop()
})

test('behind the dead addresses of a name the live one is dialled after a stagger each, not after a backoff', async () => {
  const { time, live, connected, supervisor, tell } = supervised({ join: [NAME] })
  live.set(at(10), 'peer')
  supervisor.start()
  tell(
    NAME,
    Array.from({ length: 10 }, (_, i) => at(i + 1)),
  )
  const tookMs = await time.until(() => connected.has('peer'), 5_000)
  assert.ok(tookMs <= 7 * 250 + 100, `took ${tookMs} ms`)
  supervisor.stop()
})

test('once a name has led into the mesh its further addresses take their time', async () => {
  const { time, live, dials, supervisor, tell } = supervised({ join: [NAME] })
  for (let i = 1; i <= 40; i += 1) live.set(at(i), `peer${i}`)
  supervisor.start()
  tell(
    NAME,
    Array.from({ length: 40 }, (_, i) => at(i + 1)),
  )
  await time.run(1_000)
  assert.ok(dials.length >= 3 && dials.length < 20, `${dials.length} dials in the first second`)
  await time.run(5_000)
  assert.equal(dials.length, 40)
  supervisor.stop()
})

test('addresses that a name brings later are dialled, those that it lost are not', async () => {
  const { time, live, connected, supervisor, tell, dialled } = supervised({ join: [NAME] })
  live.set(at(2), 'second')
  supervisor.start()
  tell(NAME, [at(1)])
  await time.run(12_000)
  const before = dialled(at(1))
  assert.ok(before >= 2, 'a dead address is tried again')
  tell(NAME, [at(2)])
  await time.until(() => connected.has('second'), 1_000)
  await time.run(60_000)
  assert.equal(dialled(at(1)), before)
  supervisor.stop()
})

test('who is found nearby is dialled by its id and, once it is there, left to the directory', async () => {
  const { time, live, connected, supervisor, found, dialled } = supervised({ nearby: true })
  live.set('b', 'b')
  supervisor.start()
  found('b')
  await time.until(() => connected.has('b'), 500)
  found('b')
  connected.delete('b')
  await time.run(60_000)
  assert.equal(dialled('b'), 1)
  found('b')
  await time.until(() => connected.has('b'), 500)
  supervisor.stop()
})

test('this node itself, and whom the directory has already, are no finds', async () => {
  const { time, supervisor, found, dials, overlay } = supervised({ nearby: true })
  supervisor.start()
  overlay.add('b')
  found('a')
  found('b')
  await time.run(5_000)
  assert.deepEqual(dials, [])
  supervisor.stop()
})

test('of two that find each other the one with the higher id waits up to a second', async () => {
  const { time, live, connected, supervisor, found } = supervised({ nearby: true, self: 'c' })
  live.set('b', 'b')
  supervisor.start()
  found('b')
  const tookMs = await time.until(() => connected.has('b'), 1_200)
  assert.ok(tookMs > 0)
  supervisor.stop()
})

test('a flood of forged finds costs four new dials a second, and few tries each', async () => {
  const { time, supervisor, found, dials } = supervised({ nearby: true })
  supervisor.start()
  const seconds = 60
  for (let second = 0; second < seconds; second += 1) {
    for (let i = 0; i < 1_000; i += 1) found(`x${second}x${i}`)
    await time.run(1_000)
  }
  const first = new Set(dials.map(({ what }) => what)).size
  assert.ok(first <= 4 * seconds + 1, `${first} peers in ${seconds} s`)
  assert.ok(dials.length <= 3 * first, `${dials.length} dials for ${first} peers`)
  supervisor.stop()
})

test('while forged finds fill the table others wait, and are dialled when they are heard again', async () => {
  const { time, live, connected, supervisor, found } = supervised({ nearby: true })
  live.set('b', 'b')
  supervisor.start()
  for (let i = 0; i < 64; i += 1) found(`x${i}`)
  found('b')
  await time.run(10_000)
  assert.ok(!connected.has('b'))
  const heard = time.every(1_000, () => found('b'))
  await time.until(() => connected.has('b'), 60_000)
  heard()
  supervisor.stop()
})

test('the sixty-fourth find is dialled', async () => {
  const { time, live, connected, supervisor, found } = supervised({ nearby: true })
  live.set('b', 'b')
  supervisor.start()
  for (let i = 0; i < 63; i += 1) found(`x${i}`)
  found('b')
  await time.until(() => connected.has('b'), 20_000)
  supervisor.stop()
})

test('a find that refuses is dialled once, and is no reason to give up joining', async () => {
  const { time, refusing, supervisor, found, dialled } = supervised({ nearby: true })
  refusing.add('b')
  supervisor.start()
  found('b')
  await time.run(60_000)
  assert.equal(dialled('b'), 1)
  assert.equal(supervisor.refusedEverywhere(), undefined)
  supervisor.stop()
})

test('a node that hears nobody nearby is alone once it has asked often enough', async () => {
  const { time, supervisor, silent } = supervised({ nearby: true })
  supervisor.start()
  await time.run(1_000)
  assert.ok(!supervisor.isAlone())
  silent()
  assert.ok(supervisor.isAlone())
  supervisor.stop()
})

test('a call that waits for a dial to old addresses does not fail for them: those that came meanwhile are dialled', async () => {
  const { time, live, dials, supervisor, addresses } = supervised()
  addresses.set('b', [at(1)])
  const reached = supervisor.connect('b')
  await time.run(1_000)
  addresses.set('b', [at(2)])
  live.set('b', 'b')
  await time.settled(reached, DIAL_TIMEOUT_MS)
  assert.deepEqual(
    dials.map(({ tried }) => tried),
    [[at(1)], [at(2)]],
  )
})

test('a dial to addresses that are still the same fails once', async () => {
  const { time, dials, supervisor, addresses } = supervised()
  addresses.set('b', [at(1)])
  await assert.rejects(time.settled(supervisor.connect('b'), 3 * DIAL_TIMEOUT_MS), /no answer/)
  assert.equal(dials.length, 1)
})

test('nodes that start together warn of nobody: a port that nobody listens on yet is told of after seconds', async () => {
  const { time, live, closed, log, connected, supervisor } = supervised({ join: [at(1), at(2)] })
  const warned = (): string[] => log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)
  closed.add(at(1)).add(at(2))
  supervisor.start()
  await time.run(3_000)
  closed.delete(at(1))
  live.set(at(1), 'peer')
  await time.until(() => connected.has('peer'), 5_000)
  assert.deepEqual(warned(), [])
  await time.run(20_000)
  assert.equal(warned().length, 1)
  assert.match(warned()[0] ?? '', /10\.0\.0\.2.*ECONNREFUSED/)
  supervisor.stop()
})

test('a refusal that stays the same is a warning once, however often it comes', async () => {
  const { time, refusing, live, supervisor, log, dialled } = supervised({ join: [at(1)] })
  refusing.add(at(1))
  supervisor.start()
  await time.until(() => dialled(at(1)) === 5, 60_000)
  await time.run(1)
  const warnings = (): string[] => log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)
  assert.deepEqual(warnings(), [`cannot join ${at(1)}: ${at(1)} refused`])
  refusing.delete(at(1))
  live.set(at(1), 'peer')
  await time.until(() => dialled(at(1)) === 6, 60_000)
  supervisor.stop()
})
