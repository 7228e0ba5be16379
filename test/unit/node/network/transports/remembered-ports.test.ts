/** A node keeps its ports over restarts, where they are free. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { portProblem } from '../../../../../node/network/transports/port-check.ts'
import { openRememberedPorts, savedPortsOf } from '../../../../../node/network/transports/remembered-ports.ts'
import { testFolder } from '../../../../support/folder.ts'
import { freePorts } from '../../../../support/ports.ts'

const TCP = '/ip4/127.0.0.1/tcp/0'
const WS = '/ip4/127.0.0.1/tcp/0/ws'
const DEBUG = { port: 0 }

const logged = () => {
  const lines: string[] = []
  const log = { error: () => {}, info: () => {}, warn: (line: string) => void lines.push(line) }
  return { lines, log }
}

test('each address gets the port that it had: by transport, host, and how often it was given', () => {
  const actual = [
    '/ip4/127.0.0.1/tcp/1001/p2p/QmA',
    '/ip4/127.0.0.1/tcp/1002/ws/p2p/QmA',
    '/ip4/10.0.0.1/tcp/1003/p2p/QmA',
    '/ip4/127.0.0.1/tcp/1003/p2p/QmA',
    '/ip6/::1/tcp/1004/p2p/QmA',
  ]
  assert.deepEqual(savedPortsOf([TCP, WS, '/ip4/0.0.0.0/tcp/0', '/ip6/::1/tcp/0', '/ip4/127.0.0.1/tcp/80'], actual), {
    [TCP]: [1001],
    [WS]: [1002],
    '/ip4/0.0.0.0/tcp/0': [1003],
    '/ip6/::1/tcp/0': [1004],
  })
  assert.deepEqual(savedPortsOf([TCP, TCP, TCP], actual), { [TCP]: [1001, 1003] })
  assert.deepEqual(savedPortsOf([TCP, '/p2p-circuit'], []), {})
})

test('what it listened on is taken again; ports that were given are not kept', async (t) => {
  const dir = await testFolder(t)
  const [tcp = 0, ws = 0, debug = 0] = await freePorts(3)
  const { log, lines } = logged()
  const given = ['/ip4/127.0.0.1/tcp/7777', TCP, WS]
  const first = await openRememberedPorts(dir, { listen: given, debug: DEBUG }, log)
  assert.deepEqual([first.listen, first.debug], [given, undefined])
  const addresses = ['/ip4/127.0.0.1/tcp/7777', `/ip4/127.0.0.1/tcp/${tcp}`, `/ip4/127.0.0.1/tcp/${ws}/ws`]
  await first.save(addresses, `http://127.0.0.1:${debug}`)
  const second = await openRememberedPorts(dir, { listen: given, debug: DEBUG }, log)
  assert.deepEqual([second.listen, second.debug], [addresses, debug])
  const explicit = await openRememberedPorts(dir, { listen: ['/ip4/127.0.0.1/tcp/7777'], debug: { port: 9 } }, log)
  assert.deepEqual([explicit.listen, explicit.debug], [['/ip4/127.0.0.1/tcp/7777'], undefined])
  assert.deepEqual(lines, [])
  const text = await readFile(join(dir, 'ports.json'), 'utf8')
  assert.ok(!text.includes('7777'), text)
})

test('a port that somebody else has by now is told in one line, and a free one is taken', async (t) => {
  const dir = await testFolder(t)
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await writeFile(join(dir, 'ports.json'), JSON.stringify({ listen: { [TCP]: [port] } }))
  const { log, lines } = logged()
  const { listen } = await openRememberedPorts(dir, { listen: [TCP], debug: false }, log)
  assert.deepEqual(listen, [TCP])
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', new RegExp(`the port ${port} of the last start is taken by another program`))
})

test('a file that no node wrote is left alone, and without a data directory nothing is kept', async (t) => {
  const dir = await testFolder(t)
  const { log } = logged()
  for (const text of ['{', '[]', '{"listen":{"a":[0]}}', '{"listen":{"a":[65536]}}', 'x'.repeat(20_000)]) {
    await writeFile(join(dir, 'ports.json'), text)
    assert.deepEqual(
      (await openRememberedPorts(dir, { listen: [TCP], debug: DEBUG }, log)).listen,
      [TCP],
      text.slice(0, 30),
    )
  }
  const none = await openRememberedPorts(undefined, { listen: [TCP], debug: DEBUG }, log)
  await none.save(['/ip4/127.0.0.1/tcp/1'], undefined)
  assert.deepEqual(none.listen, [TCP])
})

test('a port that is taken is one plain sentence, with what to do', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const error = await portProblem([TCP, `/ip4/127.0.0.1/tcp/${port}`])
  assert.equal(error?.code, 'STA003')
  assert.equal(error?.message, `the port 127.0.0.1:${port} (tcp) is taken by another program`)
  assert.match(error?.hint ?? '', /stop that program.+or on 0/)
  assert.equal(await portProblem([TCP, '/p2p-circuit']), undefined)
  assert.match((await portProblem(['/ip4/203.0.113.1/tcp/0']))?.message ?? '', /is no address of this machine/)
})
