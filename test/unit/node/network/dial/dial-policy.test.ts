/** What a running node dials: who is on this machine, what the operator named, and what it says when it does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { UNPROVEN_DIALS } from '../../../../../node/network/dial/dial-budget.ts'
import { createDialPolicy, isDialRefusal } from '../../../../../node/network/dial/dial-policy.ts'
import { DialOptions } from '../../../../../node/options/dial-options.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

const PEER = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const LOOPBACK = '/ip4/127.0.0.1/tcp/8081'
const BEYOND = ['/ip4/0.0.0.0/tcp/8081']

const connectionTo = (remoteAddr: string, direction = 'inbound') =>
  ({ remoteAddr, direction, remotePeer: { toString: () => PEER } }) as unknown as Connection

const setUp = (
  given: {
    listen?: string[]
    join?: string[]
    dial?: unknown
    names?: Record<string, string[]>
    announcers?: (peer: string) => string[]
  } = {},
) => {
  const counted: string[] = []
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  const policy = createDialPolicy({
    clock: { now: () => 0, monotonic: () => 0 },
    log: { error: write, warn: write, info: write },
    settings: DialOptions.parse(given.dial ?? {}),
    operator: { listen: given.listen ?? BEYOND, announce: [], join: given.join ?? [] },
    lookup: { v4: async (host) => given.names?.[host] ?? [], v6: () => Promise.reject(new Error('no answer')) },
    announcers: given.announcers ?? (() => []),
    metrics: {
      counter: () =>
        Object.assign((labels: Readonly<Record<string, string>> = {}) => void counted.push(labels.reason ?? ''), {
          with: () => () => {},
        }),
    },
  })
  return { policy, counted, lines }
}

const reasonOf = async (dial: Promise<void>): Promise<unknown> => {
  const error: unknown = await dial.then(
    () => undefined,
    (failed: unknown) => failed,
  )
  if (error === undefined) return undefined
  assert.ok(isParleyError(error, 'COM002') && isDialRefusal(error) && error.hint !== undefined)
  assert.equal(error.details.sent, false)
  return error.details.reason
}

test('loopback of a peer is dialled once it was a member from this machine, and not before', async () => {
  const { policy } = setUp()
  const address = `${LOOPBACK}/p2p/${PEER}`
  assert.equal(await reasonOf(policy.check(address)), 'loopback')
  policy.admitted(connectionTo('/ip4/203.0.113.7/tcp/40000'))
  policy.admitted(connectionTo(`${LOOPBACK}/p2p/${PEER}/p2p-circuit/p2p/${PEER}`))
  assert.equal(await reasonOf(policy.check(address)), 'loopback', 'a relay on this machine proves nothing')
  policy.admitted(connectionTo('/ip4/127.0.0.1/tcp/40000'))
  assert.equal(await reasonOf(policy.check(address)), undefined)
  assert.deepEqual(policy.choose([LOOPBACK], PEER), [LOOPBACK])
})

test('a node of which nothing goes beyond this machine dials loopback at once', async () => {
  const { policy } = setUp({ listen: ['/ip4/127.0.0.1/tcp/0'], join: ['/ip4/127.0.0.1/tcp/9'] })
  assert.equal(await reasonOf(policy.check(`${LOOPBACK}/p2p/${PEER}`)), undefined)
  const { policy: open } = setUp({ listen: ['/ip4/127.0.0.1/tcp/0'], join: ['/ip4/203.0.113.7/tcp/9'] })
  assert.equal(await reasonOf(open.check(`${LOOPBACK}/p2p/${PEER}`)), 'loopback')
})

test('what join says, and what its names stand for, is dialled unless it is denied', async () => {
  const own = '/ip4/169.254.9.9/tcp/1'
  const { policy } = setUp({ join: [own, '/dns4/seed/tcp/1/tls/ws'], names: { seed: ['169.254.1.1'] } })
  assert.equal(await reasonOf(policy.check(`${own}/p2p/${PEER}`)), undefined)
  assert.equal(await reasonOf(policy.check('/dns4/seed/tcp/1/tls/ws')), undefined)
  assert.equal(await reasonOf(policy.check(LOOPBACK)), 'loopback')
  policy.named('/dns4/others/tcp/8081', [LOOPBACK])
  assert.equal(await reasonOf(policy.check(LOOPBACK)), undefined)
  const { policy: denied } = setUp({
    join: [own, '/dns4/seed/tcp/1/tls/ws'],
    names: { seed: ['169.254.1.1'] },
    dial: { deny: ['169.254.0.0/16'] },
  })
  assert.equal(await reasonOf(denied.check(own)), 'denied')
  assert.equal(await reasonOf(denied.check('/dns4/seed/tcp/1/tls/ws')), 'denied')
})

test('a name of a peer is dialled where the operator wants it and all that it stands for may be', async () => {
  const names = { good: ['10.0.0.1'], bad: ['10.0.0.1', '169.254.169.254'] }
  const { policy } = setUp({ dial: { names: true }, names })
  assert.equal(await reasonOf(policy.check('/dns4/good/tcp/1')), undefined)
  assert.equal(await reasonOf(policy.check('/dns4/bad/tcp/1')), 'metadata')
  assert.equal(await reasonOf(setUp({ names }).policy.check('/dns4/good/tcp/1')), 'name')
})

test('of what a peer announces the rest is dialled, and what was not is counted and told once', () => {
  const { policy, counted, lines } = setUp()
  const good = '/ip4/10.0.0.1/tcp/1'
  assert.deepEqual(policy.choose([LOOPBACK, good, '/ip4/224.0.0.1/tcp/1'], PEER), [good])
  assert.deepEqual(policy.choose([], PEER), [], 'nothing was announced, and nothing is refused')
  assert.deepEqual(counted, ['loopback', 'multicast'])
  assert.deepEqual(policy.refused(), { loopback: 1, multicast: 1 })
  assert.equal(lines.length, 1)
  assert.throws(() => policy.choose([LOOPBACK], PEER), isDialRefusal)
})

test('a peer that is dialled in vain has to wait, on every way, and the gater says so too', async () => {
  const { policy } = setUp()
  const address = `/ip4/10.0.0.1/tcp/1/p2p/${PEER}`
  for (let at = 0; at < 32; at += 1) assert.equal(await policy.denies(address), false)
  assert.throws(() => policy.choose([address], PEER), isDialRefusal)
  for (let at = 0; at < 16; at += 1) assert.equal(await policy.denies(address), false, 'a race that has begun')
  assert.equal(await policy.denies(address), true)
  assert.equal(await reasonOf(policy.check(address)), 'budget')
  policy.admitted(connectionTo('/ip4/10.0.0.1/tcp/1', 'outbound'))
  assert.equal(await policy.denies(address), false)
})

test('a member that announces many that are not there has those of others dialled as ever', async () => {
  const { policy, counted } = setUp({ announcers: (peer) => [peer === PEER ? 'honest' : 'liar'] })
  const keys = await Promise.all(Array.from({ length: 60 }, () => generateKeyPair('Ed25519')))
  const invented = keys.map((key) => peerIdFromPrivateKey(key).toString())
  const dialled = async (peer: string): Promise<number> => {
    const address = `/ip4/10.0.0.2/tcp/22/p2p/${peer}`
    const denied = await Promise.all(Array.from({ length: 16 }, () => policy.denies(address)))
    return denied.filter((isDenied) => !isDenied).length
  }
  const all = await Promise.all(invented.map(dialled))
  assert.equal(
    all.reduce((sum, n) => sum + n, 0),
    (UNPROVEN_DIALS * 3) / 4,
  )
  assert.ok(counted.includes('announcer'))
  assert.throws(() => policy.choose(['/ip4/10.0.0.2/tcp/22'], invented[59] ?? ''), isDialRefusal)
  assert.equal(await dialled(PEER), 16)
})
