import assert from 'node:assert/strict'
import { createHash, randomBytes, scryptSync, sign, verify } from 'node:crypto'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { test } from 'node:test'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import fc from 'fast-check'
import {
  classifySecret,
  deriveAuthority,
  isMountedForGroup,
  isStrongEnough,
  makeSecret,
  readSecretFile,
  SECRET_ADVICE,
  secretWarning,
} from '../../../../node/trust/secret.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { testFolder } from '../../../support/folder.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

test('a made secret has a prefix, 32 random bytes and their checksum, and is never the same twice', () => {
  const secrets = Array.from({ length: 2000 }, makeSecret)
  assert.equal(new Set(secrets).size, secrets.length)
  for (const secret of secrets) {
    assert.match(secret, /^parley1-[A-Za-z0-9_-]{48}$/)
    assert.equal(Buffer.from(secret.slice('parley1-'.length), 'base64url').length, 36)
    assert.equal(classifySecret(secret), 'strong', secret)
  }
})

test('a made secret with one character changed, lost, added or swapped with its neighbour is mistyped', () => {
  const edit = fc.record({ at: fc.nat(47), character: fc.constantFrom(...ALPHABET), kind: fc.nat(3) })
  fc.assert(
    fc.property(fc.constant(0).map(makeSecret), edit, (secret, { at, character, kind }) => {
      const place = 'parley1-'.length + at
      const [head, here, tail] = [secret.slice(0, place), secret[place] ?? '', secret.slice(place + 1)]
      const [next = '', ...rest] = tail
      const edited = [head + character + tail, head + tail, head + character + here + tail][kind]
      const wrong = edited ?? head + next + here + rest.join('')
      fc.pre(wrong !== secret)
      assert.equal(classifySecret(wrong), 'mistyped', `${secret} ${wrong}`)
    }),
    { numRuns: 1000 },
  )
})

test('what was made and is copied with quotes, another prefix or other letters is mistyped, not weak', () => {
  const secret = makeSecret()
  const body = secret.slice('parley1-'.length)
  for (const wrong of [`"${secret}"`, `Parley1-${body}`, `parley2-${body}`, `parley1_${body}`, `parly1-${body}`, body])
    assert.equal(classifySecret(wrong), 'mistyped', wrong)
  // Somebody's own words.
  for (const weak of ['parley', 'parley-test', 'parley secret']) assert.equal(classifySecret(weak), 'weak', weak)
})

test('what earlier versions made is of the former form: 32 bytes in base64url, in their one spelling, and nothing else', () => {
  for (let round = 0; round < 500; round += 1) {
    const bytes = randomBytes(64)
    assert.equal(classifySecret(bytes.subarray(0, 32).toString('base64url')), 'former')
    for (const length of [31, 33, 48, 64])
      assert.equal(classifySecret(bytes.subarray(0, length).toString('base64url')), 'weak')
    for (const length of [32, 64]) assert.equal(classifySecret(bytes.subarray(0, length).toString('hex')), 'weak')
    const former = bytes.subarray(0, 32).toString('base64url')
    // The same bytes in another spelling, as somebody's words end.
    assert.equal(classifySecret(`${former.slice(0, -1)}1`), 'weak')
  }
})

test('only what was made counts as strong, and who has another one that is accepted is told what to do', () => {
  const looksRandom = randomBytes(32).toString('base64url')
  assert.equal(isStrongEnough(looksRandom), true)
  assert.match(secretWarning([makeSecret(), looksRandom]) ?? '', /the next minor version/)
  assert.match(SECRET_ADVICE, /parley secret.+two rounds/)
  assert.equal(secretWarning([makeSecret(), makeSecret()]), undefined)
  assert.equal(isStrongEnough('weak'), false)
})

test('what people write and what only looks long is weak', () => {
  const half = 'Zk3xW9qLr7Vb2TnY5mHc8J'
  const weak = [
    '',
    'secret',
    'a'.repeat(43),
    'a'.repeat(1000),
    'Ab1'.repeat(20),
    half.repeat(2),
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
    '0123456789abcdef'.repeat(4),
    'correct-horse-battery-staple-and-one-more-word-to-be-long',
    'THEQUICKBROWNFOXJUMPSOVERTHELAZYDOGANDTHENSOME',
    'the quick brown fox jumps over the lazy dog and then some',
    `${randomBytes(32).toString('base64url')}\n`,
    `${randomBytes(32).toString('base64url')}=`,
    `${randomBytes(32).toString('base64url')}ab`,
  ]
  for (const secret of weak) assert.equal(classifySecret(secret), 'weak', JSON.stringify(secret))
})

test('a secret file gives its line without the end of line', async (t) => {
  const path = join(await testFolder(t), 'secret')
  for (const end of ['', '\n', '\r\n']) {
    await writeFile(path, `abc${end}`, { mode: 0o600 })
    assert.equal(await readSecretFile(path), 'abc')
  }
  await chmod(path, 0o400)
  assert.equal(await readSecretFile(path), 'abc')
})

test('a file of root that only the group may read is one that Kubernetes mounted, but not for root itself', () => {
  const verdicts = (uid: number, mode: number, user: number) => isMountedForGroup({ uid, mode }, user)
  assert.equal(verdicts(0, 0o100440, 10_001), true)
  assert.equal(verdicts(0, 0o100640, 10_001), true)
  for (const mode of [0o444, 0o460, 0o441, 0o450]) assert.equal(verdicts(0, mode, 10_001), false)
  assert.equal(verdicts(10_001, 0o440, 10_001), false, 'its own user can close it')
  assert.equal(verdicts(10_002, 0o440, 10_001), false)
  assert.equal(verdicts(0, 0o440, 0), false)
})

test('a secret file that group or others can use is refused with the command that mends it', async (t) => {
  const path = join(await testFolder(t), 'secret')
  await writeFile(path, 'abc')
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o644]) {
    await chmod(path, mode)
    await assert.rejects(readSecretFile(path), (error) => {
      assert.ok(isParleyError(error, 'SEC001'))
      assert.equal(error.hint, `chmod 600 ${path}`)
      assert.match(error.message, new RegExp(mode.toString(8)))
      return true
    })
  }
})

test('a missing, empty, many-lined or oversized secret file is refused, and its content is never repeated', async (t) => {
  const folder = await testFolder(t)
  const path = join(folder, 'secret')
  await assert.rejects(
    readSecretFile(path),
    (error) => isParleyError(error, 'SEC001') && /parley secret/.test(error.hint ?? ''),
  )
  for (const text of ['', '\n', ' \n\n', 'topsecret\ntopsecret\n', `${'topsecret'.repeat(456)}`]) {
    await writeFile(path, text, { mode: 0o600 })
    await assert.rejects(readSecretFile(path), (error) => {
      assert.ok(isParleyError(error, 'SEC001', 'STA003'))
      return !`${error.message}${error.hint}${JSON.stringify(error.details)}`.includes('topsecret')
    })
  }
  await writeFile(path, 'x'.repeat(4096), { mode: 0o600 })
  assert.equal((await readSecretFile(path)).length, 4096)
})

test('the same secret and mesh give the same authority, any other gives another', async () => {
  const ids = await Promise.all([
    deriveAuthority('s', 'parley'),
    deriveAuthority('s', 'parley'),
    deriveAuthority('s', 'other'),
    deriveAuthority('t', 'parley'),
    // The salt ends its constant part with a line end, so that nothing slides from one part into the other.
    deriveAuthority('s\n', 'parley'),
  ])
  assert.equal(ids[0]?.id, ids[1]?.id)
  assert.equal(new Set(ids.map(({ id }) => id)).size, 4)
})

test('the authority is the Ed25519 key of the scrypt output with the published parameters', async () => {
  const authority = await deriveAuthority('secret', 'parley')
  const seed = scryptSync('secret', 'parley/authority/1\nparley', 32, { N: 32768, r: 8, p: 1, maxmem: 2 ** 26 })
  const key = await generateKeyPairFromSeed('Ed25519', seed)
  assert.equal(authority.id, Buffer.from(key.publicKey.raw).toString('base64url'))
  const bytes = createHash('sha256').update('x').digest()
  const signature = sign(null, bytes, authority.privateKey)
  assert.equal(await key.publicKey.verify(bytes, signature), true)
  assert.equal(verify(null, bytes, authority.publicKey, signature), true)
})

test('deriving an authority does not hold up the event loop', async () => {
  const before = performance.eventLoopUtilization()
  const started = performance.now()
  await Promise.all(Array.from({ length: 4 }, (_, at) => deriveAuthority(`secret ${at}`, 'parley')))
  const { active } = performance.eventLoopUtilization(before)
  const share = active / (performance.now() - started)
  assert.ok(share < 0.5, `the loop was busy for ${Math.round(share * 100)} % of the time`)
})
