/** What one neighbour may have the failure detector of this node do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Claim } from '../../../discovery/swim/claim.ts'
import { CLAIMS, createIntake, PROBES, QUESTIONS, UNKNOWN_CLAIMS } from '../../../discovery/swim/intake.ts'
import { presence } from '../../../discovery/swim/protocol.ts'
import { createPortNetwork } from '../../support/port-network.ts'
import { startWatcher } from '../../support/swim-node.ts'

const dead = (peer: string): Claim => ({ peer, standing: 'dead', incarnation: 1, by: [] })

test('probes, questions and claims of one neighbour count at the limit, not one past it, and again with time', () => {
  const exceeded: string[] = []
  const intake = createIntake(
    (peer) => peer.startsWith('known'),
    (what) => exceeded.push(what),
  )
  for (let n = 0; n < PROBES.burst; n += 1) assert.ok(intake.probe('a', 0))
  assert.ok(!intake.probe('a', 0))
  assert.ok(intake.probe('b', 0), 'others have theirs')
  assert.ok(intake.probe('a', 1_000 / PROBES.perSecond))
  for (let n = 0; n < QUESTIONS.burst; n += 1) assert.ok(intake.question('a', 0))
  assert.ok(!intake.question('a', 0))
  const invented = Array.from({ length: UNKNOWN_CLAIMS.burst + 1 }, (_, n) => dead(`invented ${n}`))
  assert.deepEqual(intake.claims('a', invented, 0), invented.slice(0, -1))
  const known = Array.from({ length: CLAIMS.burst - invented.length + 1 }, (_, n) => dead(`known ${n}`))
  assert.deepEqual(intake.claims('a', known, 0), known.slice(0, -1), 'those of who is there have more')
  assert.deepEqual(exceeded, ['probe', 'question', 'unknown', 'claim'])
})

test('a neighbour that invents members, and probes all the time, neither fills the detector nor takes its rumours', async () => {
  const network = createPortNetwork()
  const [a, b] = [await startWatcher(network, 'a'), await startWatcher(network, 'b')]
  const liar = network.start('liar')
  network.connect(a, b)
  network.connect(a, liar)
  const client = liar.port.to(a.id, presence)
  const beat = { agentId: liar.id, incarnation: 1, load: 0, queueLength: 0 }
  for (let n = 0; n < 600; n += 1) {
    const news = Array.from({ length: 12 }, (_, at) => ({ peer: `ghost ${n} ${at}`, standing: 'dead', incarnation: 1 }))
    await network.time.settled(client.beat({ ...beat, news }), 10)
  }
  const { membersDropped, rumoursDropped } = a.swim.stats()
  assert.deepEqual([membersDropped, rumoursDropped], [0, 0])
  assert.ok(a.told.filter(({ what }) => what.startsWith('dead ghost')).length <= 2 * UNKNOWN_CLAIMS.burst)
  assert.equal(a.swim.standing(b.id), 'alive')
})
