/** Nodes of one machine and user with the same secret find each other by their notes; others do not. */
import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type LocalNodes, openLocalNodes } from '../../../../../node/network/mdns/local-nodes.ts'
import { timers } from '../../../../../node/platform/platform.ts'
import { makeSecret } from '../../../../../node/trust/secret.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf, until } from '../../../../support/until.ts'

const PEERS = ['12D3KooWaaaaaaaaaaaaaaaa', '12D3KooWbbbbbbbbbbbbbbbb', '12D3KooWcccccccccccccccc'] as const
const quiet = { error() {}, warn() {}, info() {} }

const opened = async (
  t: TestContext,
  root: string,
  at: number,
  options: { mesh?: string; secret: string[]; nowMs?: () => number },
): Promise<LocalNodes & { found: Map<string, string[]>; tells: () => number }> => {
  const self = PEERS[at] ?? ''
  const found = new Map<string, string[]>()
  let tells = 0
  const nodes = await openLocalNodes({
    self,
    options: { mesh: options.mesh ?? 'm', secret: options.secret },
    log: quiet,
    // It looks more often than it would.
    timers: { ...timers, every: (_ms, fn) => timers.every(50, fn) },
    nowMs: options.nowMs ?? (() => 0),
    addresses: () => [`/ip4/127.0.0.1/tcp/${1000 + at}/p2p/${self}`],
    root,
  })
  t.after(() => nodes.stop())
  nodes.start((peer, addresses) => {
    tells += 1
    found.set(peer, addresses)
  })
  return { ...nodes, found, tells: () => tells }
}

test('two that know the same secret find each other, and the first one was alone', async (t) => {
  const root = join(await testFolder(t), 'notes')
  const secret = [makeSecret()]
  const first = await opened(t, root, 0, { secret })
  const second = await opened(t, root, 1, { secret })
  assert.deepEqual([first.others, second.others], [0, 1])
  await until('each has found the other', () => first.found.size === 1 && second.found.size === 1)
  assert.deepEqual([...second.found], [[PEERS[0], ['/ip4/127.0.0.1/tcp/1000']]])
  assert.deepEqual(first.addressesOf(PEERS[1]), ['/ip4/127.0.0.1/tcp/1001'])
  assert.ok(!first.isSilent())
  assert.equal(first.tells(), 1, 'who is there is not told of again and again')
  second.stop()
  await until('it is gone', () => first.isSilent())
})

test('of two that start at the same moment one is the first', async (t) => {
  const root = join(await testFolder(t), 'notes')
  const secret = [makeSecret()]
  const both = await Promise.all([opened(t, root, 0, { secret }), opened(t, root, 1, { secret })])
  assert.deepEqual(both.map(({ others }) => others).sort(), [0, 1])
})

test('another secret and another mesh are not found; while a secret is changed both are', async (t) => {
  const root = join(await testFolder(t), 'notes')
  const [old, fresh] = [makeSecret(), makeSecret()]
  const first = await opened(t, root, 0, { secret: [old] })
  const other = await opened(t, root, 1, { secret: [old], mesh: 'another' })
  const changing = await opened(t, root, 2, { secret: [fresh, old] })
  await until('the one that has both is found', () => first.found.has(PEERS[2]))
  assert.deepEqual([first.found.size, other.found.size, changing.found.size], [1, 0, 1])
})

test('a note is sealed, and what nobody with the secret wrote is passed over', async (t) => {
  const root = join(await testFolder(t), 'notes')
  const secret = [makeSecret()]
  const first = await opened(t, root, 0, { secret })
  const [folder = ''] = await readdir(root)
  await writeFile(join(root, folder, PEERS[1]), JSON.stringify({ peer: PEERS[1], pid: 1, birth: 'x', addresses: [] }))
  await writeFile(join(root, folder, 'x'.repeat(40)), new Uint8Array(100_000))
  const second = await opened(t, root, 2, { secret })
  assert.equal(second.others, 1)
  await until('only the real one is found', () => first.found.size === 1)
  assert.ok(first.found.has(PEERS[2]))
})

test('a folder that others can look into, or that is none, is not used', {
  skip: process.platform === 'win32' && 'modes mean nothing there',
}, async (t) => {
  const base = await testFolder(t)
  const file = join(base, 'file')
  await writeFile(file, '')
  const options = { secret: [makeSecret()] }
  assert.match(String(await failureOf(opened(t, file, 0, options))), /STA003|ENOTDIR|EEXIST|failed/)
  const open = join(base, 'open')
  await mkdir(open)
  await chmod(open, 0o755)
  await opened(t, open, 0, options)
  const { stat } = await import('node:fs/promises')
  assert.equal((await stat(open)).mode & 0o777, 0o700, 'its own is closed to others first')
})
