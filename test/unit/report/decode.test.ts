import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { MAX_TEXT } from '../../../examples/report/contracts.ts'
import { MAX_HEAD_BYTES, type Reading, readDocument, type TextDocument } from '../../../examples/report/decode.ts'
import { decode } from '../../../examples/report/encoding.ts'
import { folder } from './folder.ts'

const text = (reading: Reading): TextDocument => {
  assert.equal(reading.status, 'text')
  return reading
}

const utf16be = (content: string): Buffer => Buffer.from(content, 'utf16le').swap16()
const utf32le = (content: string): Buffer =>
  Buffer.concat(
    Array.from(content, (char) => {
      const unit = Buffer.alloc(4)
      unit.writeUInt32LE(char.codePointAt(0) ?? 0)
      return unit
    }),
  )

describe('encodings', () => {
  const content = 'Grüße, 世界 🦊\nline two\n'

  test('are told by their byte order mark, which is no part of the text', () => {
    const cases: [Buffer, string][] = [
      [Buffer.from(content), 'utf-8'],
      [Buffer.from(`\uFEFF${content}`), 'utf-8'],
      [Buffer.from(`\uFEFF${content}`, 'utf16le'), 'utf-16le'],
      [utf16be(`\uFEFF${content}`), 'utf-16be'],
      [utf32le(`\uFEFF${content}`), 'utf-32le'],
      [utf32le(`\uFEFF${content}`).swap32(), 'utf-32be'],
    ]
    for (const [bytes, encoding] of cases) assert.deepEqual(decode(bytes), { text: content, encoding, replaced: 0 })
  })

  test('UTF-16 of a western script is known without a mark', () => {
    const plain = 'Just some text, long enough.\n'
    assert.deepEqual(decode(Buffer.from(plain, 'utf16le')), { text: plain, encoding: 'utf-16le', replaced: 0 })
    assert.deepEqual(decode(utf16be(plain)), { text: plain, encoding: 'utf-16be', replaced: 0 })
  })

  test('UTF-8 with a few broken places stays UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from('gut äöü '), Buffer.from([0xff, 0xc3]), Buffer.from(' Ende ß')])
    assert.deepEqual(decode(bytes), { text: 'gut äöü \uFFFD\uFFFD Ende ß', encoding: 'utf-8', replaced: 2 })
  })

  test('what is mostly broken as UTF-8 is windows-1252', () => {
    const bytes = Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x20, 0x80, 0x20, 0x93, 0x78, 0x94, 0x20, 0xfc])
    assert.deepEqual(decode(bytes), { text: 'café € “x” ü', encoding: 'windows-1252', replaced: 0 })
  })

  test('a cut in the middle of a character is no broken place', () => {
    const whole = Buffer.from('ab€')
    assert.deepEqual(decode(whole.subarray(0, 4), true), { text: 'ab', encoding: 'utf-8', replaced: 0 })
    assert.equal(decode(Buffer.from('ä€€€').subarray(0, -1), false)?.replaced, 1)
  })

  test('half a code unit at the end of UTF-16 is one replaced place', () => {
    assert.equal(decode(Buffer.concat([Buffer.from('\uFEFFabc', 'utf16le'), Buffer.from([0x41])]))?.text, 'abc\uFFFD')
  })

  test('of binary data there is none', () => {
    const noise = Buffer.from(Array.from({ length: 4096 }, (_, at) => (Math.imul(at + 1, 2654435761) >>> 13) & 0xff))
    assert.equal(decode(noise), undefined)
    assert.equal(decode(Buffer.from('text\0text')), undefined)
    assert.equal(decode(Buffer.concat([Buffer.from([0xff, 0xfe]), noise])), undefined)
    assert.equal(decode(Buffer.concat([Buffer.from([0xff, 0xfe, 0, 0]), noise])), undefined)
    assert.equal(decode(Buffer.from('%PDF-1.4\nprintable all the same')), undefined)
    assert.equal(decode(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13])), undefined)
  })

  test('a share of control characters decides: at the limit text, one more binary', () => {
    const withControls = (count: number): Buffer => Buffer.from('\x01'.repeat(count).padEnd(100, 'a'))
    assert.notEqual(decode(withControls(3)), undefined)
    assert.equal(decode(withControls(4)), undefined)
    assert.notEqual(decode(Buffer.from('\u001b[31mred\u001b[0m')), undefined)
  })

  test('any text comes back from its bytes', () => {
    const printable = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((value) => !/[\p{Cc}\uFEFF]|^%PDF-/u.test(value))
    fc.assert(fc.property(printable, (value) => assert.equal(decode(Buffer.from(value))?.text, value)))
    fc.assert(
      fc.property(printable, (value) => {
        const decoded = decode(Buffer.from(`\uFEFF${value}`, 'utf16le'))
        assert.ok(decoded === undefined || decoded.text === value)
      }),
    )
  })

  test('any bytes give well-formed text of no more units than bytes, or none', () => {
    const start = fc.constantFrom(
      [],
      [0xff, 0xfe],
      [0xfe, 0xff],
      [0xff, 0xfe, 0, 0],
      [0, 0, 0xfe, 0xff],
      [0xef, 0xbb, 0xbf],
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 200 }), fc.boolean(), (mark, body, cut) => {
        const bytes = Buffer.from([...mark, ...body])
        const decoded = decode(bytes, cut)
        assert.ok(decoded === undefined || (decoded.text.isWellFormed() && decoded.text.length <= bytes.length))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('reading a document', () => {
  test('gives its text and size', async (t) => {
    const root = folder(t, { 'a.md': '# ä\n' })
    assert.deepEqual(await readDocument(join(root, 'a.md')), {
      status: 'text',
      text: '# ä\n',
      encoding: 'utf-8',
      replaced: 0,
      bytes: 5,
    })
  })

  test('skips what is empty, also where there is nothing but a mark', async (t) => {
    const root = folder(t, { empty: '', mark: '\uFEFF', blank: ' \n' })
    assert.deepEqual(await readDocument(join(root, 'empty')), { status: 'skipped', reason: 'empty', bytes: 0 })
    assert.deepEqual(await readDocument(join(root, 'mark')), { status: 'skipped', reason: 'empty', bytes: 3 })
    assert.equal((await readDocument(join(root, 'blank'))).status, 'text')
  })

  test('skips what is binary', async (t) => {
    const root = folder(t, { b: new Uint8Array([1, 0, 2, 3]) })
    assert.deepEqual(await readDocument(join(root, 'b')), { status: 'skipped', reason: 'binary', bytes: 4 })
  })

  test('reads 4 MiB whole, and of one byte more the head, and says so', async (t) => {
    const root = folder(t, { full: 'x'.repeat(MAX_HEAD_BYTES), more: 'x'.repeat(MAX_HEAD_BYTES + 1) })
    const full = text(await readDocument(join(root, 'full')))
    assert.deepEqual([full.text.length, full.truncatedFrom], [MAX_HEAD_BYTES, undefined])
    const more = text(await readDocument(join(root, 'more')))
    assert.deepEqual(
      [more.text.length, more.truncatedFrom, more.bytes],
      [MAX_HEAD_BYTES, MAX_HEAD_BYTES + 1, MAX_HEAD_BYTES + 1],
    )
    assert.ok(more.text.length <= MAX_TEXT)
  })

  test('cuts a head between characters', async (t) => {
    const root = folder(t, { f: '€€€' })
    const head = text(await readDocument(join(root, 'f'), 4))
    assert.deepEqual([head.text, head.replaced, head.truncatedFrom], ['€', 0, 9])
  })

  test('skips what vanished, became a folder, a link, a pipe or a socket, without waiting', {
    timeout: 10_000,
  }, async (t) => {
    const root = folder(t, { f: 'x', 'd/f': 'x' })
    symlinkSync('f', join(root, 'link'))
    execFileSync('mkfifo', [join(root, 'pipe')])
    const reason = async (path: string): Promise<string> => {
      const reading = await readDocument(path)
      return reading.status === 'skipped' ? reading.reason : 'text'
    }
    assert.equal(await reason(join(root, 'none')), 'vanished')
    assert.equal(await reason(join(root, 'f', 'inside')), 'vanished')
    for (const name of ['d', 'link', 'pipe']) assert.equal(await reason(join(root, name)), 'not a regular file')
    assert.equal(await reason('/dev/null'), 'not a regular file')
  })

  test('does not trust the size that the system tells', { skip: process.platform !== 'linux' }, async () => {
    assert.match(text(await readDocument('/proc/self/status')).text, /^Name:/)
  })

  test('skips what the system does not let it read, with the reason', {
    skip: process.platform !== 'linux',
  }, async () => {
    assert.deepEqual(await readDocument('/proc/self/mem'), {
      status: 'skipped',
      reason: 'unreadable',
      bytes: 0,
      detail: 'EIO',
    })
  })

  test('takes a path as bytes', async (t) => {
    const root = folder(t, { f: 'x' })
    assert.equal(text(await readDocument(Buffer.from(join(root, 'f')))).text, 'x')
  })
})
