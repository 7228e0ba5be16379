/** What one neighbour may have the failure detector of this node do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MembershipUpdate } from '../../../../discovery/swim/membership-update.ts'
import {
  createNeighbourLimits,
  INDIRECT_PROBE_RATE,
  PROBE_RATE,
  UNKNOWN_UPDATE_RATE,
  UPDATE_RATE,
} from '../../../../discovery/swim/neighbour-limits.ts'
import { presenceProtocol } from '../../../../discovery/swim/protocol.ts'
import { createPortNetwork } from '../../../../node/testing/virtual/port-network.ts'
import { startWatcher } from '../../../support/swim-node.ts'

const dead = (peer: string): MembershipUpdate => ({ peer, standing: 'dead', incarnation: 1, by: [] })

test('probes, questions and claims of one neighbour count at the limit, not one past it, and again with time', () => {
  const exceeded: string[] = []
  const intake = createNeighbourLimits(
    (peer) => peer.startsWith('known'),
    (what) => exceeded.push(what),
  )
  for (let n = 0; n < PROBE_RATE.burst; n += 1) assert.ok(intake.takeProbe('a', 0))
  assert.ok(!intake.takeProbe('a', 0))
  assert.ok(intake.takeProbe('b', 0), 'others have theirs')
  assert.ok(intake.takeProbe('a', 1_000 / PROBE_RATE.perSecond))
  for (let n = 0; n < INDIRECT_PROBE_RATE.burst; n += 1) assert.ok(intake.takeIndirectProbe('a', 0))
  assert.ok(!intake.takeIndirectProbe('a', 0))
  const invented = Array.from({ length: UNKNOWN_UPDATE_RATE.burst + 1 }, (_, n) => dead(`invented ${n}`))
  assert.deepEqual(intake.takeUpdates('a', invented, 0), invented.slice(0, -1))
  const known = Array.from({ length: UPDATE_RATE.burst - invented.length + 1 }, (_, n) => dead(`known ${n}`))
  assert.deepEqual(intake.takeUpdates('a', known, 0), known.slice(0, -1), 'those of who is there have more')
  assert.deepEqual(exceeded, ['probe', 'question', 'unknown', 'claim'])
})

test('a neighbour that invents members, and probes all the time, neither fills the detector nor takes its rumours', async () => {
  const network = createPortNetwork()
  const [a, b] = [await startWatcher(network, 'a'), await startWatcher(network, 'b')]
  const liar = network.start('liar')
  network.connect(a, b)
  network.connect(a, liar)
  const client = liar.port.to(a.id, presenceProtocol)
  const beat = { agentId: liar.id, incarnation: 1, load: 0, queueLength: 0 }
  for (let n = 0; n < 600; n += 1) {
    const news = Array.from({ length: 12 }, (_, at) => ({ peer: `ghost ${n} ${at}`, standing: 'dead', incarnation: 1 }))
    await network.time.settled(client.beat({ ...beat, news }), 10)
  }
  const { membersDropped, rumoursDropped } = a.swim.stats()
  assert.deepEqual([membersDropped, rumoursDropped], [0, 0])
  assert.ok(a.told.filter(({ what }) => what.startsWith('dead ghost')).length <= 2 * UNKNOWN_UPDATE_RATE.burst)
  assert.equal(a.swim.statusOf(b.id), 'alive')
})
