/** Asking a relay for a place where it cannot be asked; what a relay answers is in relay-server.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createCircuits } from '../../../../node/transport/relay.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

const RELAY = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

const circuitsOver = (connection: Partial<Connection> | undefined) =>
  createCircuits({
    gate: { hold: (_, __, pass) => pass() },
    // As much of a connection as is looked at here.
    connectionOf: () => connection as Connection | undefined,
    hasPlace: () => true,
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
