/** A member that has the others knock at doors of its choice: they knock seldom, and not where they must not. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { DEBT, PEER_DIALS, PEER_DIALS_PER_MINUTE } from '../../node/network/dial/dial-budget.ts'
import { type Canary, startCanary } from '../support/canary.ts'
import { endProcesses, forkProcess, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const secret = makeSecret()
const LIARS = 6
const WATCH_MS = 6_000
/** What those who were members are dialled at once, what they get within this time, and the races that have begun. */
const mostDials = (ms: number): number => LIARS * (PEER_DIALS + DEBT + (PEER_DIALS_PER_MINUTE * ms) / 60_000)
const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6', '127.0.0.7', '127.0.0.8', '127.0.0.9']

describe('a node whose neighbours announce what is not theirs', { timeout: 60_000 }, () => {
  let canary: Canary
  before(async () => {
    canary = await startCanary(HOSTS)
  })
  after(async () => {
    endProcesses()
    await canary.stop()
  })

  /** Members that tell these addresses for theirs, and are gone at once. */
  const lie = async (victim: Peer, mesh: string, announce: string[]): Promise<void> => {
    const liars = forkProcess()
    for (let at = 0; at < LIARS; at += 1) {
      const name = `liar-${at}`
      await liars.ask('start', { name, mesh, secret, join: victim.addresses, announce }, { as: name })
    }
    await until('they are members', async () => (await victim.ask('facts', undefined)).members.length === LIARS, 20_000)
    await liars.kill()
  }
  const refused = async (victim: Peer): Promise<Record<string, number>> =>
    (await victim.ask('facts', undefined)).figures.dialsRefused

  it('dials a bounded number of them', async () => {
    const victim = await startPeer({ name: 'victim', mesh: 'scanned', secret })
    const before = canary.count()
    const startedAt = performance.now()
    const announce = HOSTS.flatMap((host) => [`/ip4/${host}/tcp/${canary.port}`, `/ip4/${host}/tcp/${canary.port}/ws`])
    await lie(victim, 'scanned', announce)
    const endsAt = performance.now() + WATCH_MS
    await until('the time is over', () => performance.now() > endsAt, 2 * WATCH_MS, 50)
    const dialled = canary.count() - before
    assert.ok(dialled > 0, 'they are on this machine, as the victim is')
    const most = mostDials(performance.now() - startedAt)
    assert.ok(dialled <= most, `${dialled} connections, and at most ${most} should be`)
    const { budget = 0, announcer = 0 } = await refused(victim)
    assert.ok(budget + announcer > 0)
    await victim.kill()
  })

  it('dials none where the operator denied them, none that is never dialled, and goes on', async () => {
    const dial = { deny: ['127.0.0.2/31', '127.0.0.4/30', '127.0.0.8/31'] }
    const victim = await startPeer({ name: 'victim', mesh: 'denied', secret, dial })
    const before = canary.count()
    await lie(victim, 'denied', [
      ...HOSTS.slice(0, 4).map((host) => `/ip4/${host}/tcp/${canary.port}`),
      ...HOSTS.slice(4).map((host) => `/ip6/::ffff:${host}/tcp/${canary.port}/ws`),
      `/ip6/2002:7f00:2::/tcp/${canary.port}`,
      '/ip4/100.100.100.200/tcp/80/ws',
      '/ip4/224.0.0.1/tcp/80',
      `/dns4/localhost.localdomain/tcp/${canary.port}`,
    ])
    const seen = await until('all of them were refused', async () => {
      const counts = await refused(victim)
      return ['denied', 'metadata', 'multicast', 'name'].every((why) => (counts[why] ?? 0) > 0) && counts
    })
    assert.equal(canary.count() - before, 0, JSON.stringify(seen))
    const friend = await startPeer({ name: 'friend', mesh: 'denied', secret, join: victim.addresses })
    await until('who means well is a member', async () =>
      (await victim.ask('facts', undefined)).members.some(({ id }) => id === friend.id),
    )
    assert.equal(canary.count() - before, 0)
    assert.equal(victim.complaints().includes('unhandled'), false)
  })
})
