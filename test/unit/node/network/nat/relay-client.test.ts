/** When a node looks for relays, which addresses it tells, and when it stops: the driver over parts that are played here. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import {
  RELAY_RECORD,
  type RelayClient,
  type RelayClientDeps,
  startRelayClient,
} from '../../../../../node/network/nat/relay-client.ts'
import { RESERVATION_MS } from '../../../../../node/network/nat/relay-messages.ts'
import { RelayOptions, type RelaySettings } from '../../../../../node/options/discovery-options.ts'
import { createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../../protocols/errors.ts'
import { createRegistration } from '../../../../../protocols/registration.ts'

const at = (id: string): string => `/ip4/10.0.0.${id.charCodeAt(0) - 96}/tcp/1`
const through = (id: string): string => `${at(id)}/p2p/${id}/p2p-circuit/p2p/self`

const setUp = async (options: Partial<RelaySettings> = {}) => {
  const time = createVirtualTime()
  const world = {
    /** Members that are connected, and those of them that serve. */
    members: ['a', 'b', 'x'],
    relays: [] as string[],
    full: new Set<string>(),
    isBlocked: undefined as boolean | undefined,
    checks: 0,
    asked: [] as string[],
    told: [] as string[][],
  }
  const left = new Set<Parameters<RelayClientDeps['port']['onMember']>[0]>()
  const lines: string[] = []
  const note = (message: string): void => void lines.push(message)
  const entry = (id: string) => ({ id, chosen: { remoteAddr: at(id) } as unknown as Connection })
  const deps = {
    port: {
      self: { id: 'self', name: 'self', mesh: 'm', incarnation: 1 },
      onMember(fn: Parameters<RelayClientDeps['port']['onMember']>[0]) {
        left.add(fn)
        return () => left.delete(fn)
      },
    },
    clock: { now: time.now, monotonic: time.now },
    timers: time,
    log: { error: note, warn: note, info: note },
    circuits: {
      listen: async () => {},
      stop: async () => {},
      async reserve(relay: string) {
        world.asked.push(relay)
        if (world.full.has(relay))
          throw new ParleyError('COM003', `the relay ${relay} refused a place`, { hint: 'wait' })
        return time.now() + RESERVATION_MS
      },
    },
    peers: {
      all: () => world.members.map(entry),
      get: (id: string) => (world.members.includes(id) ? entry(id) : undefined),
    },
    reach: {
      async isUnreachable() {
        world.checks += 1
        return world.isBlocked
      },
      counts: () => ({ reached: 0, unreached: 0, untried: 0 }),
    },
    directory: {
      offers: (name: string) => (name === RELAY_RECORD.name ? world.relays.map((peer) => ({ peer })) : []),
      get: (id: string) => ({ record: { addresses: [at(id)] } }),
      onChange: () => createRegistration(() => {}),
    },
    chance: () => 0.5,
    addresses: () => ['/ip4/192.168.0.2/tcp/1'],
    changed: () => world.told.push(relaying?.addresses() ?? []),
    upgradeMs: 1_000,
  }
  let relaying: RelayClient | undefined
  relaying = await startRelayClient(deps as unknown as RelayClientDeps, { ...RelayOptions.parse({}), ...options })
  const lose = (id: string): void => {
    world.members = world.members.filter((other) => other !== id)
    for (const fn of left) fn({ id, name: id }, 'left')
  }
  return { time, world, relaying, lines, lose }
}

test('where nobody serves nothing is asked', async () => {
  const { time, world } = await setUp()
  await time.run(120_000)
  assert.deepEqual([world.checks, world.asked], [0, []])
})

test('who can be dialled takes no place, and looks again now and then', async () => {
  const { time, world, relaying } = await setUp()
  world.relays = ['a']
  world.isBlocked = false
  await time.run(130_000)
  assert.ok(world.checks >= 2 && world.checks <= 4, `${world.checks} checks`)
  assert.deepEqual([world.asked, relaying.facts().dialable], [[], true])
})

test('who cannot be dialled takes places, tells their addresses, and keeps them by asking again', async () => {
  const { time, world, relaying } = await setUp()
  world.relays = ['a', 'b']
  world.isBlocked = true
  await time.run(2_000)
  assert.deepEqual(relaying.facts().places, ['a', 'b'])
  assert.deepEqual(world.told.at(-1), [through('a'), through('b')])
  assert.ok(relaying.hasReservation('a') && !relaying.hasReservation('x'))
  const told = world.told.length
  await time.run(RESERVATION_MS)
  assert.ok(world.asked.length >= 4, `asked ${world.asked.join()}`)
  assert.equal(world.told.length, told, 'nothing changed for others')
  assert.deepEqual(relaying.facts().places, ['a', 'b'])
})

test('a relay that is full is named in the log, and the next one is taken', async () => {
  const { time, world, relaying, lines } = await setUp({ use: 'always', count: 1 })
  world.full.add('a')
  world.relays = ['a', 'b']
  await time.run(2_000)
  assert.deepEqual([world.asked, relaying.facts().places], [['a', 'b'], ['b']])
  assert.ok(lines.includes('the relay a refused a place'))
  assert.equal(relaying.facts().refused, 1)
  assert.equal(world.checks, 0, 'it was told to use one always')
})

test('a relay that is lost is replaced, and others are told', async () => {
  const { time, world, relaying, lose } = await setUp({ use: 'always', count: 1 })
  world.relays = ['a', 'b']
  await time.run(1_000)
  world.relays = ['b']
  lose('a')
  await time.run(1_000)
  assert.deepEqual(relaying.facts().places, ['b'])
  assert.deepEqual(world.told.at(-1), [through('b')])
})

test('who can be dialled again gives its places up and says so', async () => {
  const { time, world, relaying } = await setUp()
  world.relays = ['a']
  world.isBlocked = true
  await time.run(2_000)
  assert.deepEqual(world.told.at(-1), [through('a')])
  world.isBlocked = false
  await time.run(120_000)
  assert.deepEqual([relaying.facts().places, world.told.at(-1)], [[], []])
})

test('never means never, and after the stop nothing is told', async () => {
  const { time, world, relaying } = await setUp({ use: 'never' })
  world.relays = ['a', 'b']
  await time.run(10_000)
  assert.deepEqual([world.checks, world.asked], [0, []])
  await relaying.stop()
  const other = await setUp({ use: 'always' })
  await other.relaying.stop()
  other.world.relays = ['a']
  await other.time.run(10_000)
  assert.deepEqual([other.world.asked, other.world.told], [[], []])
})
