/** Asking everybody at once: three agents bid, one of them refuses, the best bid wins. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createMesh, defineProtocol, makeSecret, ParleyError } from '../node/index.ts'

const bidding = defineProtocol({
  name: 'bidding',
  version: '1.0.0',
  methods: {
    bid: { request: z.object({ job: z.string() }), response: z.object({ price: z.number() }), timeoutMs: 5_000 },
  },
})

const secret = makeSecret()
const buyer = await createMesh({ name: 'buyer', secret })
const bidder = async (name: string, bid: () => { price: number }) => {
  const mesh = await createMesh({ name, secret, join: buyer.self.addresses })
  await mesh.serve(bidding, { bid })
  await mesh.joined()
  return mesh
}
const bidders = await Promise.all([
  bidder('cheap', () => ({ price: 3 })),
  bidder('dear', () => ({ price: 9 })),
  bidder('busy', () => {
    throw new ParleyError('APP001', 'no capacity today', { hint: 'ask tomorrow' })
  }),
])

const everyone = Promise.withResolvers<void>()
const look = (): void => {
  if (buyer.directory.offers('bidding', 1).length === bidders.length) everyone.resolve()
}
const changes = buyer.directory.onChange(look)
look()
await everyone.promise
await changes.stop()

const bids: { name: string; price: number }[] = []
const refusals: string[] = []
for await (const reply of buyer.all(bidding).bid({ job: 'translate' }, { stallMs: 2_000 })) {
  if ('error' in reply) refusals.push(reply.name)
  else bids.push({ name: reply.name, price: reply.value.price })
}
bids.sort((a, b) => a.price - b.price)
process.stdout.write(
  `${bids.map(({ name, price }) => `${name}: ${price}`).join(', ')}; refused: ${refusals.join(', ')}\n`,
)

await Promise.all([...bidders, buyer].map((mesh) => mesh.stop()))
assert.deepEqual(bids, [
  { name: 'cheap', price: 3 },
  { name: 'dear', price: 9 },
])
assert.deepEqual(refusals, ['busy'])
