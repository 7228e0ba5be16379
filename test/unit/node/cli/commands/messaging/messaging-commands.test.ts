/** The parts of the commands that talk: arguments, skills, lines, reports. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSkill } from '../../../../../../node/cli/commands/messaging/serve-command.ts'
import { createTopicReport, MAX_TOPICS } from '../../../../../../node/cli/commands/messaging/topic-report.ts'
import { readInputLines } from '../../../../../../node/cli/input/stdin.ts'
import { keepProgramArguments } from '../../../../../../node/cli/register/register-messaging.ts'
import { isParleyError } from '../../../../../../protocols/errors.ts'
import { failureOf } from '../../../../../support/until.ts'

test('what follows the program of serve is its own, and no other command is touched', () => {
  const kept = (...args: string[]): string => keepProgramArguments(args).join(' ')
  assert.equal(kept('serve', 'up', '--command', 'tr', '-d', 'x', '--json'), 'serve up --command tr -- -d x --json')
  assert.equal(kept('serve', 'up', '--command=tr', 'a'), 'serve up --command=tr -- a')
  assert.equal(kept('serve', 'up', '--command', 'tr'), 'serve up --command tr')
  assert.equal(kept('serve', 'up', '--command', 'tr', '--', '-d'), 'serve up --command tr -- -d')
  assert.equal(kept('serve', 'up', '--command'), 'serve up --command')
  assert.equal(kept('serve', 'up', '-x'), 'serve up -x')
  assert.equal(kept('call', 'a.b', '--command', 'x', '-y'), 'call a.b --command x -y')
})

test('a skill is a protocol, perhaps with a version and a method', () => {
  assert.deepEqual(parseSkill('upper'), { protocol: 'upper', version: '1.0.0', method: 'run' })
  assert.deepEqual(parseSkill('text.upper'), { protocol: 'text', version: '1.0.0', method: 'upper' })
  assert.deepEqual(parseSkill('text@2.1.0.upper'), { protocol: 'text', version: '2.1.0', method: 'upper' })
  assert.deepEqual(parseSkill('text@2.1.0'), { protocol: 'text', version: '2.1.0', method: 'run' })
  for (const text of ['', 'Upper', 'a.b.c', 'a@2.b', '.run', 'a b', `x${'y'.repeat(64)}`])
    assert.throws(
      () => parseSkill(text),
      (error) => isParleyError(error, 'MSG001'),
      text,
    )
})

test('lines are the same however the input is cut, and have a bound', async () => {
  const read = async (chunks: AsyncIterable<Buffer>, maxChars?: number): Promise<string[]> => {
    const lines: string[] = []
    for await (const line of readInputLines(chunks, maxChars)) lines.push(line)
    return lines
  }
  async function* cut(text: string, size: number): AsyncGenerator<Buffer> {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\r\n]/g, ' ')),
        { maxLength: 8 },
      ),
      fc.integer({ min: 1, max: 7 }),
      async (lines, size) => {
        const text = lines.map((line) => `${line}\n`).join('')
        assert.deepEqual(await read(cut(text, size)), lines)
      },
    ),
  )
  assert.deepEqual(await read(cut('a\r\nb', 2)), ['a', 'b'])
  assert.deepEqual(await read(cut('12345\n', 2), 5), ['12345'])
  assert.ok(isParleyError(await failureOf(read(cut('123456789', 2), 5)), 'MSG001'))
})

test('a report counts by topic, the busiest first, and what is beyond its bound together', () => {
  let nowMs = 0
  const report = createTopicReport(() => nowMs)
  assert.equal(report.text(), 'no event yet')
  const add = (topic: string, source = 'a'): void => report.add({ topic, data: { n: 1 }, source })
  add('quiet')
  for (const source of ['a', 'b', 'a']) add('busy', source)
  nowMs = 2_000
  assert.deepEqual(report.rows(), [
    { topic: 'busy', events: 3, bytes: 21, publishers: 2, perSecond: 1.5 },
    { topic: 'quiet', events: 1, bytes: 7, publishers: 1, perSecond: 0.5 },
  ])
  for (let n = 2; n < MAX_TOPICS; n += 1) add(`t.${n}`)
  assert.equal(report.rows().length, MAX_TOPICS)
  add('one.more')
  add('another')
  assert.equal(report.rows().length, MAX_TOPICS + 1)
  assert.equal(report.rows().find(({ topic }) => topic === '(others)')?.events, 2)
})
