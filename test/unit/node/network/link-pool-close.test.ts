import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createLinkPool } from '../../../../node/network/link-pool.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { hello, outCall, playByHand } from '../../../support/link-hand.ts'
import { createEnd, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'

/** How long the links of a node take to close, where one call over this protocol is never answered. */
const closedWithinMs = async (protocolId: string): Promise<number> => {
  const time = createVirtualTime()
  const { deps } = createEnd(time, LIMITS)
  const { hand, other } = playByHand()
  const links = createLinkPool({
    ...deps,
    self: 'self',
    openTimeoutMs: 1_000,
    idleMs: 60_000,
    loopback: () => other,
    current: () => undefined,
    isOwn: (id) => id === '/parley/own/1',
    connection: () => Promise.reject(new Error('this node calls nobody but itself here')),
  })
  hand.send(hello)
  const caller = await links.open({ peer: 'self', protocolId, version: '1.0.0' })
  const lost = parleyErrorOf(caller.unary(outCall('hold', undefined, 60_000)))
  await settle(time)
  const startedAt = time.now()
  await time.settled(links.close(5_000), 30_000)
  await settle(time)
  const error = await lost
  assert.deepEqual([error.code, error.details.sent], ['COM002', true])
  return time.now() - startedAt
}

it('a node that leaves waits for the calls of its agents, and a second at most for those of the mesh itself', async () => {
  assert.equal(await closedWithinMs('/parley/agents/1'), 5_000)
  assert.equal(await closedWithinMs('/parley/own/1'), 1_000)
})
