import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  addressProblem,
  isLoopback,
  isRelayed,
  worthAnnouncing,
} from '../../../../../node/network/addresses/multiaddresses.ts'

const PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

test('loopback is 127/8, ::1, mapped 127/8 and the names under localhost', () => {
  const inside = [
    '/ip4/127.0.0.1/tcp/0',
    '/ip4/127.255.255.254/tcp/1/ws',
    `/ip4/127.0.0.1/tcp/1/p2p/${PEER}`,
    '/ip6/::1/tcp/1',
    '/ip6/0:0:0:0:0:0:0:1/tcp/1',
    '/ip6zone/lo/ip6/::1/tcp/1',
    '/ip6/::ffff:127.0.0.1/tcp/1',
    '/dns4/localhost/tcp/1',
    '/dns6/LOCALHOST./tcp/1',
    '/dns/a.localhost/tcp/1',
  ]
  for (const address of inside) assert.ok(isLoopback(address), address)
})

test('everything else may leave the machine', () => {
  const outside = [
    '/ip4/0.0.0.0/tcp/0',
    '/ip4/128.0.0.1/tcp/1',
    '/ip4/12.7.0.1/tcp/1',
    '/ip4/192.168.0.1/tcp/1',
    '/ip6/::/tcp/1',
    '/ip6/::2/tcp/1',
    '/ip6/fe80::1/tcp/1',
    '/ip6/::ffff:10.0.0.1/tcp/1',
    '/dns4/mesh/tcp/8081',
    '/dns4/notlocalhost/tcp/1',
    '/dns4/localhost.example/tcp/1',
    '/dnsaddr/localhost',
    `/ip4/127.0.0.1/tcp/1/p2p/${PEER}/p2p-circuit/p2p/${PEER}`,
    '/ip4/127.0.0.1/tcp/1/ip4/10.0.0.1/tcp/2',
    `/p2p/${PEER}`,
    '/unix/%2Ftmp%2Fa',
    'localhost',
    '',
  ]
  for (const address of outside) assert.ok(!isLoopback(address), address)
})

test('an address over TCP or WebSocket can be used', () => {
  for (const address of ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/8081', '/ip4/127.0.0.1/tcp/0/ws', '/dns4/a/tcp/1/tls/ws']) {
    assert.equal(addressProblem(address, 'listen'), undefined, address)
  }
  for (const address of ['/dns4/mesh/tcp/8081', `/ip6/fd00::1/tcp/1/p2p/${PEER}`, '/dns/a/tcp/443/wss']) {
    assert.equal(addressProblem(address, 'join'), undefined, address)
    assert.equal(addressProblem(address, 'announce'), undefined, address)
  }
})

test('an address over QUIC can be used', () => {
  assert.equal(addressProblem('/ip4/0.0.0.0/udp/0/quic-v1', 'listen'), undefined)
  for (const address of ['/ip6/::1/udp/4001/quic-v1', `/dns4/mesh/udp/4001/quic-v1/p2p/${PEER}`]) {
    assert.equal(addressProblem(address, 'join'), undefined, address)
    assert.equal(addressProblem(address, 'announce'), undefined, address)
  }
  assert.ok(isLoopback('/ip4/127.0.0.1/udp/4001/quic-v1'))
  assert.ok(!isLoopback('/ip4/10.0.0.1/udp/4001/quic-v1'))
  for (const address of ['/ip4/1.2.3.4/udp/1', '/ip4/1.2.3.4/udp/1/quic-v1/webtransport', '/ip4/1.2.3.4/tcp/1/quic-v1'])
    assert.match(addressProblem(address, 'join') ?? '', /not reachable over TCP, WebSocket or QUIC/, address)
  assert.match(addressProblem('/ip4/1.2.3.4/udp/0/quic-v1', 'join') ?? '', /port 0/)
})

test('an address through a relay is told from a direct one', () => {
  assert.ok(isRelayed(`/ip4/10.0.0.1/tcp/1/p2p/${PEER}/p2p-circuit/p2p/${PEER}`))
  assert.ok(!isRelayed(`/ip4/10.0.0.1/tcp/1/p2p/${PEER}`))
})

test('a link-local address is refused, with or without its interface, and told to nobody', () => {
  for (const address of ['/ip6/fe80::1/tcp/1', '/ip6zone/eth0/ip6/fe80::1/tcp/1', '/ip6/febf::1/tcp/1'])
    for (const use of ['listen', 'announce', 'join'] as const)
      assert.match(addressProblem(address, use) ?? '', /is link-local.*fd00::/, address)
  assert.equal(addressProblem('/ip6/fe8::1/tcp/1', 'join'), undefined)
  const told = ['/ip6/::1/tcp/1', '/ip6/fe80::1/tcp/1', '/ip6/fd00::1/tcp/1', '/ip4/127.0.0.1/tcp/1']
  assert.deepEqual(worthAnnouncing(told, 16), ['/ip6/fd00::1/tcp/1'])
  assert.deepEqual(worthAnnouncing(['/ip6/::1/tcp/1'], 16), ['/ip6/::1/tcp/1'])
})

test('loopback is told only where there is no other direct address, and relayed ones come last', () => {
  const [near, far] = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1']
  const relayed = `/ip4/10.0.0.9/tcp/1/p2p/${PEER}/p2p-circuit/p2p/${PEER}`
  assert.deepEqual(worthAnnouncing([relayed, near, far], 16), [far, relayed])
  assert.deepEqual(worthAnnouncing([relayed, near], 16), [near, relayed])
  assert.deepEqual(worthAnnouncing([relayed], 16), [relayed])
  assert.deepEqual(worthAnnouncing([near], 16), [near])
  const many = Array.from({ length: 20 }, (_, i) => `/ip4/10.0.1.${i}/tcp/1`)
  assert.deepEqual(worthAnnouncing([relayed, ...many], 4), [...many.slice(0, 3), relayed])
  assert.deepEqual(worthAnnouncing([relayed, relayed, relayed, far], 4), [far, relayed, relayed])
})

test('an address that cannot be used is refused with what to write instead', () => {
  assert.match(addressProblem('127.0.0.1:8081', 'join') ?? '', /no multiaddress; write it as/)
  assert.match(addressProblem('', 'listen') ?? '', /no multiaddress/)
  for (const address of [
    '/ip4/1.2.3.4/udp/1/webrtc-direct',
    '/ip4/1.2.3.4',
    '/tcp/1',
    '/unix/%2Ftmp%2Fa',
    `/p2p/${PEER}`,
  ]) {
    assert.match(addressProblem(address, 'join') ?? '', /not reachable over TCP/, address)
  }
  assert.match(addressProblem(`/ip4/1.2.3.4/tcp/1/p2p/${PEER}/p2p-circuit`, 'join') ?? '', /not reachable/)
  assert.match(addressProblem(`/ip4/127.0.0.1/tcp/1/p2p/${PEER}`, 'listen') ?? '', /names a peer/)
  assert.match(addressProblem('/ip4/1.2.3.4/tcp/0', 'join') ?? '', /port 0/)
})

test('no text makes it throw, and what is loopback names 127, ::1 or localhost', () => {
  const part = fc.oneof(
    fc.constantFrom('ip4', 'ip6', 'tcp', 'dns4', 'ws', 'p2p', '127.0.0.1', '::1', 'localhost', '1', PEER),
    fc.ipV4(),
    fc.ipV6(),
    fc.domain(),
    fc.string(),
  )
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 8 }).map((parts) => `/${parts.join('/')}`),
      (address) => {
        addressProblem(address, 'join')
        if (isLoopback(address)) assert.match(address, /127\.|:0*1|7f|localhost/i)
      },
    ),
    { numRuns: 1000 },
  )
})
