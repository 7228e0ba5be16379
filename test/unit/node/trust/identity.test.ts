import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { loadIdentity, nextIncarnation } from '../../../../node/trust/identity.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { testFolder } from '../../../support/folder.ts'

test('the identity is kept across starts, in a file that libp2p reads and only its owner may', async (t) => {
  const directory = join(await testFolder(t), 'data')
  const first = await loadIdentity(directory)
  const second = await loadIdentity(directory)
  assert.equal(peerIdFromPrivateKey(second).toString(), peerIdFromPrivateKey(first).toString())
  const path = join(directory, 'identity.key')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(directory)).mode & 0o777, 0o700)
  const bytes = await readFile(path)
  assert.equal(bytes.length, 68)
  assert.ok(privateKeyFromProtobuf(bytes).equals(first))
  assert.deepEqual(await readdir(directory), ['identity.key'])
})

test('a key of libp2p itself is taken as it is', async (t) => {
  const directory = await testFolder(t)
  const key = await generateKeyPair('Ed25519')
  await writeFile(join(directory, 'identity.key'), privateKeyToProtobuf(key), { mode: 0o600 })
  assert.ok((await loadIdentity(directory)).equals(key))
})

test('without a data directory each start is a new peer', async () => {
  assert.ok(!(await loadIdentity()).equals(await loadIdentity()))
})

test('a key file that others could read is tightened with a warning', async (t) => {
  const directory = await testFolder(t)
  await loadIdentity(directory)
  const path = join(directory, 'identity.key')
  await chmod(path, 0o644)
  const warnings: string[] = []
  await loadIdentity(directory, {
    info: () => {},
    error: () => {},
    warn: (message) => void warnings.push(message),
  })
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal(warnings.length, 1)
})

const refusesKey = async (directory: string, content: Uint8Array | string, why: RegExp): Promise<void> => {
  const path = join(directory, 'identity.key')
  await writeFile(path, content, { mode: 0o600 })
  await assert.rejects(loadIdentity(directory), (error) => {
    assert.ok(isParleyError(error, 'MSG003'), String(error))
    assert.match(error.message, why)
    assert.ok(error.hint?.includes(path))
    return true
  })
  assert.deepEqual(await readFile(path), Buffer.from(content), 'the file must be left as it was')
}

test('an empty file, a text and a key of another kind are refused and left alone', async (t) => {
  const directory = await testFolder(t)
  await refusesKey(directory, '', /identity\.key/)
  await refusesKey(directory, 'not a key', /identity\.key/)
  await refusesKey(directory, privateKeyToProtobuf(await generateKeyPair('secp256k1')), /secp256k1/)
})

test('a key file with any one bit flipped, or cut short anywhere, is refused', async (t) => {
  const directory = await testFolder(t)
  const good = privateKeyToProtobuf(await generateKeyPair('Ed25519'))
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length * 8 - 1), async (bit) => {
      const bad = good.slice()
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await refusesKey(directory, bad, /identity\.key/)
    }),
    { numRuns: 60 },
  )
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), (length) =>
      refusesKey(directory, good.slice(0, length), /identity\.key/),
    ),
    { numRuns: 30 },
  )
})

test('the incarnation is the clock, and one more than the last where the clock went back', async (t) => {
  const directory = await testFolder(t)
  assert.equal(await nextIncarnation(directory, 1_000), 1_000)
  assert.equal(await nextIncarnation(directory, 2_000), 2_000)
  assert.equal(await nextIncarnation(directory, 2_000), 2_001)
  assert.equal(await nextIncarnation(directory, 500), 2_002)
  assert.equal((await stat(join(directory, 'incarnation'))).mode & 0o777, 0o600)
  assert.equal(await nextIncarnation(undefined, 77), 77)
})

test('an incarnation file without a usable number is refused by name', async (t) => {
  const directory = await testFolder(t)
  const path = join(directory, 'incarnation')
  for (const text of ['', 'x', '-1', '1.5', '1e3', '9007199254740991', '99999999999999999']) {
    await writeFile(path, text, { mode: 0o600 })
    await assert.rejects(nextIncarnation(directory, 1), (error) => {
      assert.ok(isParleyError(error, 'MSG003'), text)
      return error.hint?.includes(path) === true
    })
  }
  await writeFile(path, '9007199254740990\n', { mode: 0o600 })
  assert.equal(await nextIncarnation(directory, 1), 9007199254740991)
})

test('a process killed while it counts has never shown a number that the next start could repeat', async (t) => {
  const directory = await testFolder(t)
  const module = new URL('../../../../node/trust/identity.ts', import.meta.url).href
  const program = `
    const { nextIncarnation } = await import(${JSON.stringify(module)})
    for (;;) console.log(await nextIncarnation(${JSON.stringify(directory)}, 1))`
  let last = 0
  for (const lines of [1, 3, 8]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const gone = once(child, 'exit')
    let seen = 0
    for await (const line of createInterface({ input: child.stdout })) {
      assert.ok(Number(line) > last, `${line} after ${last}`)
      last = Number(line)
      seen += 1
      if (seen === lines) child.kill('SIGKILL')
    }
    await gone
    const next = await nextIncarnation(directory, 1)
    assert.ok(next > last, `${next} after ${last}`)
    last = next
  }
})
