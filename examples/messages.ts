/** Messages that outlive who sent and who received them: orders wait for a bank that is away, and each is booked once. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { createMesh, defineMessage, type Mesh, makeSecret } from '../node/index.ts'

const Payment = defineMessage({
  type: 'payment.ordered',
  version: '1.0.0',
  schema: z.object({ order: z.int(), from: z.string(), to: z.string(), cents: z.int().positive() }),
})
const Booked = defineMessage({
  type: 'payment.booked',
  version: '1.0.0',
  schema: z.object({ order: z.int(), left: z.int() }),
})

const secret = makeSecret()
const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
const ORDERS = 40
let charges = 0

/** What is put and sent counts together, and once, with the note that the message was processed. */
const startBank = async (join_: string[]): Promise<Mesh> => {
  const bank = await createMesh({ name: 'bank', secret, dataDir: join(folder, 'bank'), join: join_ })
  await bank.messages.receive(Payment, async ({ order, from, to, cents }, { message, tx, attempt, effect }) => {
    const balance = async (account: string) => z.int().parse((await tx.get(`account/${account}`)) ?? 10_000)
    // An effect outside of the mesh is not run again when the message is.
    const receipt = await effect('charge', () => {
      charges += 1
      return `charge ${charges}`
    })
    if (order % 10 === 0 && attempt === 1) throw new Error('the line to the central bank is busy')
    tx.put(`account/${from}`, (await balance(from)) - cents)
    tx.put(`account/${to}`, (await balance(to)) + cents)
    tx.put(`receipt/${order}`, receipt)
    await tx.send(message.source, Booked, { order, left: await balance(from) })
  })
  return bank
}

const shop = await createMesh({ name: 'shop', secret, dataDir: join(folder, 'shop') })
const booked = new Set<number>()
await shop.messages.receive(Booked, ({ order }) => void booked.add(order))
let bank = await startBank(shop.self.addresses)
const bankId = bank.self.id

const options = { guarantee: 'EXACTLY_ONCE', conversationId: 'ada', retry: { initialDelayMs: 100 } } as const
const order = (number: number) =>
  shop.messages.send(bankId, Payment, { order: number, from: 'ada', to: 'bob', cents: 100 }, options)

const receipts = []
for (let number = 1; number <= ORDERS / 2; number += 1) receipts.push(await order(number))
// The bank goes away. Orders are kept meanwhile, and go on when it is back.
await bank.stop()
for (let number = ORDERS / 2 + 1; number <= ORDERS; number += 1) receipts.push(await order(number))
const waiting = shop.messages.figures().outbox
bank = await startBank(shop.self.addresses)
await Promise.all(receipts.map((receipt) => receipt.delivered({ signal: AbortSignal.timeout(30_000) })))

const left = await bank.messages.state.get('account/ada')
for (let tries = 0; booked.size < ORDERS && tries < 300; tries += 1) await new Promise((go) => setTimeout(go, 20))
process.stdout.write(`${ORDERS} orders, ${waiting} waited for the bank, ada has ${left}, ${charges} charges\n`)

await Promise.all([shop.stop(), bank.stop()])
await rm(folder, { recursive: true, force: true })
assert.ok(waiting >= ORDERS / 2)
assert.equal(left, 10_000 - ORDERS * 100)
assert.equal(charges, ORDERS)
assert.equal(booked.size, ORDERS)
