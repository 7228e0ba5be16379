/** Multiaddresses as the doctor reads them, and who listens on a port. */
import assert from 'node:assert/strict'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { ownerOf } from '../../../../../node/cli/doctor/port-checks.ts'
import { hostPort, isWildcard, listenAddressOf } from '../../../../../node/network/addresses/listen-address.ts'

test('an address is read as where a connection goes first', () => {
  const cases: [string, ReturnType<typeof listenAddressOf>][] = [
    ['/ip4/127.0.0.1/tcp/80', { host: '127.0.0.1', port: 80, kind: 'ip4', transport: 'tcp' }],
    ['/ip6/::1/tcp/80/ws', { host: '::1', port: 80, kind: 'ip6', transport: 'tcp' }],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/80', { host: 'fe80::1%eth0', port: 80, kind: 'ip6', transport: 'tcp' }],
    ['/dns4/a.example/tcp/1/tls/ws', { host: 'a.example', port: 1, kind: 'name', transport: 'tcp' }],
    ['/ip4/10.0.0.1/udp/9/quic-v1', { host: '10.0.0.1', port: 9, kind: 'ip4', transport: 'udp' }],
    ['/p2p-circuit', undefined],
    ['srv:_parley._tcp.example.org', undefined],
    ['nonsense', undefined],
  ]
  for (const [address, site] of cases) assert.deepEqual(listenAddressOf(address), site, address)
  assert.deepEqual(
    [hostPort({ host: '::1', port: 1 }), hostPort({ host: 'a', port: 2 }), isWildcard('::'), isWildcard('::1')],
    ['[::1]:1', 'a:2', true, false],
  )
})

test('the process that listens on a port is found; nobody is for one that is free', {
  skip: process.platform !== 'linux' && 'needs /proc',
}, async (test) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  test.after(() => void server.close())
  const { port } = server.address() as AddressInfo
  const owner = await ownerOf(port, 'tcp')
  assert.equal(owner?.pid, process.pid)
  assert.match(owner?.command ?? '', /node/)
  assert.equal(await ownerOf(port, 'udp'), undefined)
})
