import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { forgetNeutralScores } from '../../../../../node/network/gossip/gossipsub-bounds.ts'
import { startRawPeer } from '../../../../support/raw-peer.ts'

interface Score {
  peerStats: Map<string, { expire: number; behaviourPenalty: number }>
  addPeer(id: string): void
  removePeer(id: string): void
  addPenalty(id: string, penalty: number, label: string): void
  refreshScores(): void
  score(id: string): number
}

test('of peers that left gossipsub remembers those alone that did wrong', async (context) => {
  const raw = await startRawPeer()
  context.after(() => raw.stop())
  const { gossip } = raw.libp2p.services
  forgetNeutralScores(gossip)
  const score = Reflect.get(gossip, 'score') as Score
  for (let n = 0; n < 200; n += 1) score.addPeer(`good${n}`)
  score.addPeer('bad')
  score.addPenalty('bad', 20, 'test')
  score.addPeer('stays')
  assert.ok(score.score('bad') < 0)
  for (let n = 0; n < 200; n += 1) score.removePeer(`good${n}`)
  score.removePeer('bad')
  score.removePeer('never came')
  score.refreshScores()
  assert.deepEqual([...score.peerStats.keys()], ['bad', 'stays'])
  assert.ok(score.score('bad') < 0)
})

test('another release of gossipsub is refused', () => {
  assert.throws(() => forgetNeutralScores({} as unknown as GossipSub), TypeError)
})
