/** Clocks that differ: shown and borne up to a minute, refused with the reason beyond it. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { runCommand } from '../support/command.ts'
import { type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, RemoteFailure, startPeer, untilMembers } from '../support/processes.ts'
import { shiftedBy } from '../support/shifted-clock.ts'
import { failureOf, until } from '../support/until.ts'

const secret = makeSecret()
const AHEAD_MS = 40_000
const HOURS_MS = 2 * 3_600_000

interface Shown {
  peers: { id: string; skewMs?: number; skewErrorMs?: number }[]
}

describe('peers whose clocks differ', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let ahead: Peer
  const join = (): string[] => ours.mesh.self.addresses
  const start = (name: string, byMs: number): Promise<Peer> =>
    startPeer({ name, secret, mesh: 'clocks', join: join() }, { enter: shiftedBy(byMs) })
  const read = async (path: string): Promise<string> => (await fetch(`${ours.mesh.debugUrl}${path}`)).text()

  before(async () => {
    ours = await startMesh({ name: 'ours', mesh: 'clocks', secret, debug: 0 })
    ahead = await start('ahead', AHEAD_MS)
    await ahead.ask('joined', {})
    await untilKnown(ours.mesh, ahead.id)
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  it('are shown with the difference, in the list of peers, the metrics, the log and the readiness', async () => {
    const { peers } = JSON.parse(await read('/api/peers')) as Shown
    const [shown] = peers.filter(({ id }) => id === ahead.id)
    const { skewMs = 0, skewErrorMs = Number.NaN } = shown ?? {}
    assert.ok(Math.abs(skewMs - AHEAD_MS) <= skewErrorMs + 1, `${skewMs} ± ${skewErrorMs}`)
    const [clock] = ours.mesh.figures().clocks
    assert.equal(clock?.name, 'ahead')
    assert.match(await read('/metrics'), /^parley_clock_skew_seconds\{peer="ahead"\} (39|40)\.?\d*$/m)
    const { ready, degraded } = JSON.parse(await read('/readyz')) as { ready: boolean; degraded?: string[] }
    assert.equal(ready, true)
    assert.match(String(degraded), /the clock of ahead is (39|40)\.\d s ahead of this node's/)
    const table = await runCommand(['peers', '--url', ours.mesh.debugUrl ?? ''], { cwd: tmpdir() })
    assert.match(table.stdout, / \+(39|40)\.\d{3} s /)
    const warnings = ours.log.lines.filter(({ message }) => message === 'the clock of a peer differs from this one')
    assert.equal(warnings.length, 1)
    const theirs = await ahead.ask('facts', undefined)
    assert.ok((theirs.figures.clocks[0]?.skewMs ?? 0) < 1_000 - AHEAD_MS)
  })

  it('work together within a minute: calls both ways, and events', async () => {
    assert.deepEqual(await ours.mesh.to(ahead.id, probe).echo({ text: 'there' }), { text: 'there' })
    const back = await ahead.ask('call', { to: ours.mesh.self.id, method: 'echo', input: { text: 'back' } })
    assert.deepEqual(back, { text: 'back' })
    const heard: unknown[] = []
    await ours.mesh.events.subscribe('clock.#', ({ data }) => void heard.push(data))
    await until('the event came', async () => {
      await ahead.ask('publish', { topic: 'clock.tick' })
      return heard.length > 0
    })
  })

  for (const [name, byMs] of [
    ['early', 90_000],
    ['late', -90_000],
  ] as const) {
    it(`refuse each other beyond it, and say by how much they differ (${byMs / 1000} s)`, async () => {
      const peer = await start(name, byMs)
      const error = await failureOf(peer.ask('joined', {}))
      assert.ok(error instanceof RemoteFailure)
      assert.equal(error.code, 'SEC001')
      assert.match(error.message, /valid only|not be valid yet/)
      assert.match(error.message, /the clocks of .+ differ by (89|90|91) s, and that of (early|ours) is ahead$/)
      assert.match(error.hint ?? '', /NTP/)
      assert.ok(!ours.mesh.members().some(({ id }) => id === peer.id))
      await peer.kill()
    })
  }

  it('keep every connection when one is set by hours, and that one says so and admits nobody new', async () => {
    const [set, other] = await Promise.all([start('set', 0), start('other', 0)])
    await Promise.all([untilMembers(set, 'ahead,other,ours'), untilMembers(other, 'ahead,ours,set')])
    await Promise.all([set.ask('watchMembers', undefined), other.ask('watchMembers', undefined)])
    const lost: string[] = []
    const { stop } = ours.mesh.onMember(({ name }, change) => change === 'left' && lost.push(name))
    await set.ask('stepClock', { byMs: HOURS_MS })
    const { ready, degraded } = await set.ask('readiness', undefined)
    assert.equal(ready, true)
    assert.match(
      String(degraded),
      /the clock of this node was set and is 7\d{3} s ahead of those of 3 of 3 peers: nobody new/,
    )
    // By the same wrong clock its token would be good.
    const alike = await startPeer(
      { name: 'alike', secret, mesh: 'clocks', join: set.addresses },
      { enter: shiftedBy(HOURS_MS) },
    )
    const error = await failureOf(alike.ask('joined', {}))
    assert.ok(error instanceof RemoteFailure)
    assert.match(error.message, /was set and is/)
    await set.ask('call', { to: other.id, method: 'echo', input: { text: 'still here' } })
    await other.ask('call', { to: set.id, method: 'echo', input: { text: 'still here' } })
    await set.ask('stepClock', { byMs: -HOURS_MS })
    assert.ok(!/was set/.test(String((await set.ask('readiness', undefined)).degraded)))
    assert.deepEqual([lost, await set.ask('left', undefined), await other.ask('left', undefined)], [[], [], []])
    stop()
    await Promise.all([set.kill(), other.kill(), alike.kill()])
  })
})
