import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  isName,
  MAX_NAME_ADDRESSES,
  type NameLookup,
  resolveName,
  srvProblem,
  watchNames,
} from '../../../discovery/dns.ts'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'

interface Zone {
  v4?: Record<string, string[]>
  v6?: Record<string, string[]>
  srv?: Record<string, { host: string; port: number; priority: number }[]>
}

/** A name system that holds what a test writes into it; `down` makes it fail. */
const namesOf = (zone: Zone) => {
  const asked: string[] = []
  const state = { down: false, canceled: false }
  const ask = async <T>(kind: keyof Zone, records: Record<string, T[]> | undefined, name: string): Promise<T[]> => {
    asked.push(`${kind} ${name}`)
    if (state.down) throw new Error('no name server answers')
    return records?.[name] ?? []
  }
  const lookup: NameLookup = {
    v4: (host) => ask('v4', zone.v4, host),
    v6: (host) => ask('v6', zone.v6, host),
    srv: (name) => ask('srv', zone.srv, name),
    cancel: () => {
      state.canceled = true
    },
  }
  return { lookup, asked, state }
}

const zone: Zone = {
  v4: { seed: ['10.0.0.1', '10.0.0.2'], one: ['10.0.0.9'] },
  v6: { seed: ['fd00::1'] },
  srv: {
    '_parley._tcp.mesh.example': [
      { host: 'one', port: 5001, priority: 20 },
      { host: 'seed', port: 4001, priority: 10 },
      { host: 'gone', port: 4001, priority: 1 },
    ],
  },
}

describe('a join name', () => {
  it('is a host over TCP or WebSocket, or an SRV service; with TLS or a peer id it is an address', () => {
    for (const name of [
      '/dns4/seed/tcp/4001',
      '/dns6/a.b-c.d/tcp/1',
      '/dns/seed/tcp/4001/ws',
      'srv:_parley._tcp.x.y',
    ]) {
      assert.equal(isName(name), true, name)
    }
    for (const other of [
      '/ip4/10.0.0.1/tcp/4001',
      '/dns4/seed/tcp/443/wss',
      '/dns4/seed/tcp/4001/p2p/12D3KooW',
      'srv:x',
    ]) {
      assert.equal(isName(other), false, other)
    }
    assert.equal(srvProblem('srv:_parley._tcp.mesh.example'), undefined)
    assert.match(srvProblem('srv:mesh.example') ?? '', /srv:_parley\._tcp/)
  })

  it('stands for all its addresses of the wanted families', async () => {
    const { lookup } = namesOf(zone)
    assert.deepEqual(await resolveName('/dns4/seed/tcp/4001', lookup), [
      '/ip4/10.0.0.1/tcp/4001',
      '/ip4/10.0.0.2/tcp/4001',
    ])
    assert.deepEqual(await resolveName('/dns6/seed/tcp/4001/ws', lookup), ['/ip6/fd00::1/tcp/4001/ws'])
    assert.deepEqual(await resolveName('/dns/seed/tcp/1', lookup), [
      '/ip4/10.0.0.1/tcp/1',
      '/ip4/10.0.0.2/tcp/1',
      '/ip6/fd00::1/tcp/1',
    ])
    assert.deepEqual(await resolveName('/dns4/nobody/tcp/1', lookup), [])
  })

  it('of a service brings hosts and ports, best priority first, and leaves out hosts that are gone', async () => {
    const { lookup } = namesOf(zone)
    assert.deepEqual(await resolveName('srv:_parley._tcp.mesh.example', lookup), [
      '/ip4/10.0.0.1/tcp/4001',
      '/ip4/10.0.0.2/tcp/4001',
      '/ip6/fd00::1/tcp/4001',
      '/ip4/10.0.0.9/tcp/5001',
    ])
  })

  it('brings each address once, and at most so many', async () => {
    const many = Array.from({ length: 100 }, (_, at) => `10.0.1.${at}`)
    const { lookup } = namesOf({ v4: { many, twice: ['10.0.0.1', '10.0.0.1'] } })
    assert.equal((await resolveName('/dns4/many/tcp/1', lookup)).length, MAX_NAME_ADDRESSES)
    assert.deepEqual(await resolveName('/dns4/twice/tcp/1', lookup), ['/ip4/10.0.0.1/tcp/1'])
  })

  it('that has one family is found although the other cannot be asked for', async () => {
    const { lookup } = namesOf(zone)
    const half: NameLookup = { ...lookup, v6: () => Promise.reject(new Error('refused')) }
    assert.equal((await resolveName('/dns/seed/tcp/1', half)).length, 2)
    await assert.rejects(resolveName('/dns6/seed/tcp/1', half), /refused/)
  })
})

describe('the watch of names', () => {
  const watch = (zones: Zone, sources: string[]) => {
    const time = createVirtualTime()
    const { lookup, asked, state } = namesOf(zones)
    const found: string[][] = []
    const failed: string[] = []
    const names = watchNames(sources, {
      lookup,
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      chance: () => 0.5,
      periodMs: 30_000,
      retryMs: 250,
      found: (_source, addresses) => found.push(addresses),
      failed: (_source, error) => failed.push(error.message),
    })
    return { time, asked, state, found, failed, names }
  }

  it('asks at once and then each period, and tells what is new', async () => {
    const changing: Zone = { v4: { seed: ['10.0.0.1'] } }
    const { time, found, asked, names } = watch(changing, ['/dns4/seed/tcp/1'])
    await time.run(0)
    changing.v4 = { seed: ['10.0.0.2'] }
    await time.run(29_999)
    assert.equal(asked.length, 1)
    await time.run(1)
    assert.deepEqual(found, [['/ip4/10.0.0.1/tcp/1'], ['/ip4/10.0.0.2/tcp/1']])
    names.stop()
    await time.run(100_000)
    assert.equal(asked.length, 2)
  })

  it('asks again with longer pauses while there is nothing or nobody answers, and keeps what it told', async () => {
    const { time, found, failed, asked, state } = watch(zone, ['/dns4/seed/tcp/1', '/dns4/nobody/tcp/1'])
    await time.run(0)
    state.down = true
    assert.equal(found.length, 1)
    assert.match(failed[0] ?? '', /stands for no address/)
    await time.run(250 + 500 + 1000)
    assert.equal(asked.filter((one) => one === 'v4 nobody').length, 4)
    await time.run(30_000)
    assert.equal(found.length, 1, 'a failure brings no empty list')
    assert.ok(failed.some((message) => /no name server/.test(message)))
    state.down = false
    await time.run(60_000)
    assert.ok(found.length > 1)
  })

  it('asks sooner when it is told that the addresses do not answer, and not more often than that', async () => {
    const { time, asked, names } = watch(zone, ['/dns4/seed/tcp/1'])
    await time.run(0)
    for (let i = 0; i < 10; i += 1) names.refresh('/dns4/seed/tcp/1')
    await time.run(1_000)
    assert.equal(asked.length, 2)
    names.refresh('/dns4/other/tcp/1')
    names.stop()
  })

  it('cancels what it is asking when it stops, and tells nothing afterwards', async () => {
    const { time, found, failed, state, names } = watch(zone, ['/dns4/seed/tcp/1'])
    names.stop()
    await time.run(60_000)
    assert.deepEqual([found, failed, state.canceled], [[], [], true])
  })
})
