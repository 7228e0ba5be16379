/** Whether a node can be dialled: what members are asked, what they dial, and what they make of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import {
  type Autonat,
  type AutonatDeps,
  autonatProtocol,
  createAutonat,
} from '../../../../../node/network/nat/autonat.ts'
import { createPortNetwork } from '../../../../../node/testing/virtual/port-network.ts'

const ADDRESS = '/ip4/10.0.0.1/tcp/4001'
const connectionTo = (peer: string) => {
  const made = {
    status: 'open',
    direction: 'outbound',
    remotePeer: { toString: () => peer },
    abort() {
      made.status = 'aborted'
    },
  }
  return made as unknown as Connection
}

type Asked = Parameters<Autonat['isUnreachable']>

/** Two nodes: one asks, the other dials as it is told here. */
const setUp = async (dial: AutonatDeps['dial'], admit: AutonatDeps['admit'] = () => {}) => {
  const network = createPortNetwork({ seed: 1 })
  const [near, far] = [network.start('near'), network.start('far')]
  network.connect(near, far)
  const nobody: AutonatDeps['dial'] = () => Promise.reject(new Error('not here'))
  const asks = await createAutonat({ port: near.port, dial: nobody, admit: () => {}, chance: () => 0.5 })
  const tries = await createAutonat({ port: far.port, dial, admit, chance: () => 0.5 })
  const ask = async (addresses: Asked[1], members: Asked[0] = [far.id]) => {
    const answer = asks.isUnreachable(members, addresses)
    await network.time.run(10_000)
    return answer
  }
  return { network, near, far, asks, tries, ask }
}

test('a member that gets through says so; the connection is closed and was no connection of the mesh', async () => {
  const dialled: string[] = []
  const made: Connection[] = []
  const { ask, near, tries } = await setUp(async (address) => {
    dialled.push(address)
    const connection = connectionTo(near.id)
    made.push(connection)
    assert.ok(tries.isDialBack(connection), 'it is not admitted')
    return connection
  })
  assert.equal(await ask([ADDRESS]), false)
  assert.deepEqual(dialled, [`${ADDRESS}/p2p/${near.id}`], 'whoever answers has to prove that it is the one that asked')
  assert.equal(made[0]?.status, 'aborted')
  assert.ok(!tries.isDialBack(connectionTo(near.id)), 'later connections are as ever')
  assert.equal(tries.counts().reached, 1)
})

test('a member that cannot get through says so', async () => {
  const { ask, tries } = await setUp(() => Promise.reject(new Error('connection refused')))
  assert.equal(await ask([ADDRESS]), true)
  assert.equal(tries.counts().unreached, 1)
})

test('a node without an address cannot be dialled, and asks nobody', async () => {
  const { ask, tries } = await setUp(() => assert.fail('nobody is dialled'))
  assert.equal(await ask([]), true)
  assert.deepEqual(tries.counts(), { reached: 0, unreached: 0, untried: 0 })
})

test('where nobody could be asked nothing is known', async () => {
  const { ask } = await setUp(() => assert.fail('nobody is dialled'))
  assert.equal(await ask([ADDRESS], []), undefined)
  assert.equal(await ask([ADDRESS], ['peer-that-is-gone']), undefined)
})

test('a member dials only what an agent may announce, and only as whoever asked', async () => {
  const dialled: string[] = []
  const { ask, near, far } = await setUp((address) => {
    dialled.push(address)
    return Promise.reject(new Error('not here'))
  })
  await ask([
    'nonsense',
    '/ip4/10.0.0.1/tcp/0',
    `${ADDRESS}/p2p/${far.id}/p2p-circuit/p2p/${near.id}`,
    '/unix/%2Ftmp%2Fa',
    '/ip4/10.0.0.2/udp/1/quic-v1',
  ])
  assert.deepEqual(dialled, [`/ip4/10.0.0.2/udp/1/quic-v1/p2p/${near.id}`])
})

test('one address that answers is enough, and the others are given up', async () => {
  const { ask, near } = await setUp((address, signal) =>
    address.includes('10.0.0.1')
      ? Promise.resolve(connectionTo(near.id))
      : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  )
  assert.equal(await ask([ADDRESS, '/ip4/10.0.0.2/tcp/1']), false)
})

test('a connection that was dialled for something else during a trial is admitted after it', async () => {
  const admitted: Connection[] = []
  const trial = Promise.withResolvers<Connection>()
  const { ask, near, network, tries } = await setUp(
    () => trial.promise,
    (connection) => admitted.push(connection),
  )
  const answer = ask([ADDRESS])
  await network.time.run(1_000)
  const [own, other] = [connectionTo(near.id), connectionTo(near.id)]
  assert.ok(tries.isDialBack(other) && tries.isDialBack(own))
  trial.resolve(own)
  await network.time.run(1_000)
  assert.equal(await answer, false)
  assert.deepEqual(admitted, [other])
  assert.deepEqual([own.status, other.status], ['aborted', 'open'])
})

test('a second question during a trial is not tried', async () => {
  const trial = Promise.withResolvers<Connection>()
  const { near, far, network, tries } = await setUp(() => trial.promise)
  const client = near.port.to(far.id, autonatProtocol)
  const first = client.try({ addresses: [ADDRESS] })
  const second = client.try({ addresses: [ADDRESS] })
  await network.time.run(1_000)
  assert.deepEqual(await second, { outcome: 'untried' })
  trial.resolve(connectionTo(near.id))
  await network.time.run(1_000)
  assert.deepEqual(await first, { outcome: 'reached' })
  assert.deepEqual(tries.counts(), { reached: 1, unreached: 0, untried: 1 })
})

test('whoever was tried just now is not tried again at once, and others are', async () => {
  const dialled: string[] = []
  const { near, far, network } = await setUp((address) => {
    dialled.push(address)
    return Promise.reject(new Error('not here'))
  })
  const third = network.start('third')
  network.connect(third, far)
  await network.time.run(100)
  const ask = async (from: typeof near) => {
    const answer = from.port.to(far.id, autonatProtocol).try({ addresses: [ADDRESS] })
    await network.time.run(500)
    return (await answer).outcome
  }
  assert.deepEqual([await ask(near), await ask(near), await ask(third)], ['unreached', 'untried', 'unreached'])
  assert.equal(dialled.length, 2)
  await network.time.run(3_000)
  assert.equal(await ask(near), 'unreached')
})
