/** Asking a relay for a place where it cannot be asked; what a relay answers is in relay-server.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createCircuitTransport } from '../../../../../node/network/nat/circuit-transport.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

const RELAY = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const OTHER = '12D3KooWSUki7bkt9adYgnXskYrWzJkiYrKQLr7SGm2q6UgkwunD'

const circuitsOver = (connection: Partial<Connection> | undefined) =>
  createCircuitTransport({
    gate: { hold: (_, __, pass) => pass() },
    // As much of a connection as is looked at here.
    connectionOf: () => connection as Connection | undefined,
    dial: () => assert.fail('is not dialled'),
    hasReservation: () => true,
  })

const refusal = async (connection: Partial<Connection> | undefined): Promise<string> => {
  try {
    await circuitsOver(connection).reserve(RELAY)
  } catch (error) {
    assert.ok(isParleyError(error, 'COM002'), String(error))
    assert.match(error.hint ?? '', /another relay/)
    return error.message
  }
  return assert.fail('there is no place')
}

test('a relay that is not connected cannot be asked', async () => {
  assert.equal(await refusal(undefined), `the relay ${RELAY} is not connected`)
})

test('a member that is itself reached through a relay gives no place', async () => {
  const remoteAddr = multiaddr(`/ip4/10.0.0.9/tcp/1/p2p/${RELAY}/p2p-circuit/p2p/${RELAY}`)
  assert.match(await refusal({ remoteAddr }), /is itself reached through a relay only/)
})

test('a member that serves no more is named with the reason', async () => {
  const remoteAddr = multiaddr('/ip4/10.0.0.9/tcp/1')
  const newStream = () => Promise.reject(new Error('protocol not supported'))
  assert.match(await refusal({ remoteAddr, newStream }), /could not be asked for a place/)
})

test('what was never listened with is stopped without a word', async () => {
  await circuitsOver(undefined).stop()
})

test('an address through a relay is dialled by this transport, and no other one', () => {
  const components = {} as Parameters<ReturnType<typeof circuitsOver>['factory']>[0]
  const transport = circuitsOver(undefined).factory(components)
  const [direct, relayed] = ['/ip4/10.0.0.9/tcp/1', `/ip4/10.0.0.9/tcp/1/p2p/${RELAY}/p2p-circuit/p2p/${RELAY}`]
  assert.deepEqual(transport.dialFilter([direct, relayed].map((text) => multiaddr(text))).map(String), [relayed])
  assert.deepEqual(transport.listenFilter([multiaddr(direct)]), [])
})

/** Dials a peer through the relay over these connections with it; tells what was dialled, and how often a stream was asked for. */
const dialledOver = async (connections: Partial<Connection>[]) => {
  const open = [...connections] as Connection[]
  const dialled: string[] = []
  let streams = 0
  const direct: Partial<Connection> = {
    status: 'open',
    remoteAddr: multiaddr(`/ip4/10.0.0.9/tcp/1/p2p/${RELAY}`),
    newStream: () => {
      streams += 1
      return Promise.reject(new Error('asked the relay'))
    },
  }
  const circuits = createCircuitTransport({
    gate: { hold: (_, __, pass) => pass() },
    connectionOf: () => open[0],
    async dial(address) {
      dialled.push(address.toString())
      open.push(direct as Connection)
      return direct as Connection
    },
    hasReservation: () => true,
  })
  const components = {
    connectionManager: { getConnections: () => open, openConnection: () => assert.fail('libp2p would dial nobody') },
    registrar: {},
    events: new EventTarget(),
    logger: { forComponent: () => Object.assign(() => {}, { error() {}, trace() {} }) },
  } as unknown as Parameters<typeof circuits.factory>[0]
  const transport = circuits.factory(components)
  const address = multiaddr(`/ip4/10.0.0.9/tcp/1/p2p/${RELAY}/p2p-circuit/p2p/${OTHER}`)
  const options = { signal: AbortSignal.timeout(1_000) } as Parameters<typeof transport.dial>[1]
  await assert.rejects(transport.dial(address, options), /asked the relay/)
  return { dialled, streams, direct }
}

test('a relay that is itself reached through a relay is dialled directly before it is asked to carry something', async () => {
  const remoteAddr = multiaddr(`/ip4/10.0.0.8/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${RELAY}`)
  const { dialled, streams } = await dialledOver([
    { status: 'open', remoteAddr, newStream: () => Promise.reject(new Error('a relay carries nothing on that')) },
  ])
  assert.deepEqual(dialled, [`/ip4/10.0.0.9/tcp/1/p2p/${RELAY}`])
  assert.equal(streams, 1, 'the direct connection was used')
})

test('a relay that is connected directly is not dialled again', async () => {
  const remoteAddr = multiaddr('/ip4/10.0.0.9/tcp/1')
  const { dialled } = await dialledOver([
    { status: 'open', remoteAddr, newStream: () => Promise.reject(new Error('asked the relay')) },
  ])
  assert.deepEqual(dialled, [])
})
