import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  MAX_FIELDS_CHARS,
  MAX_ITEMS,
  MAX_TEXT_CHARS,
  REDACTED,
  withFields,
} from '../../../../../node/observe/log/log-fields.ts'
import {
  createLog,
  LINES_PER_LEVEL,
  LINES_PER_TEXT,
  type LogOptions,
  MAX_TEXTS,
  WINDOW_MS,
} from '../../../../../node/observe/log/node-log.ts'
import { ParleyError } from '../../../../../protocols/errors.ts'

/** A log that writes into an array, with a clock and a timer that the test moves. */
const record = (options: LogOptions = {}) => {
  const lines: string[] = []
  const timers: { delayMs: number; fn: () => void }[] = []
  const log = createLog({
    human: false,
    write: (line) => lines.push(line),
    clock: { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) },
    timers: {
      after(delayMs, fn) {
        const timer = { delayMs, fn }
        timers.push(timer)
        return () => timers.splice(timers.indexOf(timer), 1)
      },
    },
    ...options,
  })
  const objects = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line))
  const last = (): Record<string, unknown> => objects().at(-1) ?? {}
  return { log, lines, timers, objects, last }
}

describe('the log', () => {
  it('writes one JSON object per line with timestamp, level and message', () => {
    const { log, lines } = record()
    log.info('joined', { correlationId: 'c1', source: 'a', destination: 'b', messageType: 'REQUEST', peers: 3 })
    assert.deepEqual(lines, [
      '{"level":"info","timestamp":"2026-01-02T03:04:05.006Z","correlation_id":"c1","source":"a",' +
        '"destination":"b","message_type":"REQUEST","peers":3,"message":"joined"}\n',
    ])
  })

  it('writes the levels up to the one that it is told', () => {
    const said = (level: LogOptions['level']) => {
      const { log, objects } = record(level === undefined ? {} : { level })
      log.error('e')
      log.warn('w')
      log.info('i')
      return objects().map((line) => line.level)
    }
    assert.deepEqual(said('silent'), [])
    assert.deepEqual(said('error'), ['error'])
    assert.deepEqual(said('warn'), ['error', 'warn'])
    assert.deepEqual(said('info'), ['error', 'warn', 'info'])
    assert.deepEqual(said(undefined), ['error', 'warn', 'info'])
  })

  it('writes from the level on that it is set to meanwhile', () => {
    const { log, objects } = record({ level: 'error' })
    log.info('not yet')
    log.setLevel('info')
    assert.equal(log.level(), 'info')
    log.info('now')
    log.setLevel('silent')
    log.error('no more')
    assert.deepEqual(
      objects().map((line) => line.message),
      ['now'],
    )
  })

  it('writes each line before it returns, and takes a text as it is', () => {
    const { log, lines, last } = record()
    log.info('100 %d of %s', { rest: '%o' })
    assert.equal(lines.length, 1)
    assert.deepEqual([last().message, last().rest], ['100 %d of %s', '%o'])
  })

  it('has written the last line when the process crashes, however many there were before', () => {
    const log = new URL('../../../../../node/observe/log/node-log.ts', import.meta.url).href
    const program = `import { createLog } from ${JSON.stringify(log)}
      const log = createLog({ human: false })
      process.on('uncaughtException', (error) => {
        log.error('crashed', { error })
        process.exit(7)
      })
      for (let i = 0; i < 990; i++) log.info('line ' + i, { fill: 'x'.repeat(500) })
      throw new Error('oh')`
    const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    assert.equal(status, 7)
    const said = stderr.trimEnd().split('\n')
    assert.equal(said.length, 991)
    assert.equal(JSON.parse(said.at(-1) ?? '').original_error, 'oh')
  })

  it('tells type, message, causes and context of an error', () => {
    const { log, last } = record()
    const cause = new Error('socket hang up')
    log.error('call failed', { error: new ParleyError('COM001', 'no answer', { details: { waitedMs: 30 }, cause }) })
    const { error_type, original_error, context } = last()
    assert.deepEqual([error_type, original_error], ['COM001', 'no answer <- socket hang up'])
    assert.deepEqual(context, { waitedMs: 30 })
    log.error('other', { error: new RangeError('too far'), context: { at: 7 } })
    assert.equal(last().error_type, 'RangeError')
    assert.deepEqual(last().context, { at: 7 })
    log.error('third', { error: 'a string' })
    assert.deepEqual([last().error_type, last().original_error], ['string', 'a string'])
  })

  it('puts its own fields into every line, and those of the call before them', () => {
    const { log, last } = record({ fields: { source: 'me', node: 'n1' } })
    log.info('x', { source: 'you' })
    assert.deepEqual([last().source, last().node], ['you', 'n1'])
  })

  it('says with each line what a part of it always says, unless that line says otherwise', () => {
    const { log, last } = record({ fields: { source: 'me' } })
    const ofLink = withFields(log, { source: 'peer', destination: 'me', protocol: 'p' })
    for (const level of ['error', 'warn', 'info'] as const) {
      ofLink[level]('x', { destination: 'you' })
      const { source, destination, protocol } = last()
      assert.deepEqual([last().level, source, destination, protocol], [level, 'peer', 'you', 'p'])
    }
    ofLink.info('y')
    assert.equal(last().destination, 'me')
  })

  it('does not let a field stand in for timestamp, level or message', () => {
    const { log, lines, last } = record()
    log.info('x', { level: 'error', message: 'y', timestamp: 0 })
    assert.deepEqual([...lines.join('').matchAll(/"(level|message|timestamp)":/g)].length, 3)
    assert.deepEqual([last().level, last().message], ['info', 'x'])
    assert.equal(last().timestamp, '2026-01-02T03:04:05.006Z')
  })

  it('never writes what a field holds that is named a secret', () => {
    const { log, lines, last } = record()
    const fields = { secret: 's3cr3t', joinToken: 's3cr3t', deep: { Authorization: 's3cr3t', privateKey: ['s3cr3t'] } }
    log.info('x', { ...fields, tokens: 12 })
    assert.doesNotMatch(lines.join(''), /s3cr3t/)
    assert.deepEqual(last().deep, { Authorization: REDACTED, privateKey: REDACTED })
    assert.equal(last().tokens, 12, 'a number of tokens is no secret')
  })

  it('bounds texts, lists, depth and the line as a whole', () => {
    const { log, lines, last } = record()
    const self: Record<string, unknown> = {}
    self.self = self
    const many = Array.from({ length: MAX_ITEMS + 1 }, (_, i) => i)
    log.info('x'.repeat(MAX_TEXT_CHARS + 1), { long: 'y'.repeat(MAX_TEXT_CHARS), longer: 'y'.repeat(5000), many, self })
    assert.equal(last().long, 'y'.repeat(MAX_TEXT_CHARS))
    assert.equal(last().longer, `${'y'.repeat(MAX_TEXT_CHARS)}… (5000 characters)`)
    assert.deepEqual(last().many, [...many.slice(0, MAX_ITEMS), '…'])
    assert.match(JSON.stringify(last().self), /^(\{"self":)+"…"\}+$/)
    log.info('big', Object.fromEntries(many.map((i) => [`f${i}`, 'z'.repeat(2000)])))
    assert.ok((lines.at(-1)?.length ?? 0) < MAX_FIELDS_CHARS * 1.2)
    assert.equal(last()['…'], 'more')
  })

  it('writes values of any kind without throwing, and every line is JSON on one line', () => {
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(
        text,
        fc.dictionary(text, fc.anything({ withBigInt: true, withMap: true, withSet: true })),
        (message, fields) => {
          const { log, lines, objects } = record()
          log.error(message, fields)
          assert.equal(lines.length, 1)
          assert.equal(lines[0]?.indexOf('\n'), (lines[0]?.length ?? 0) - 1)
          assert.equal(objects()[0]?.message, message)
        },
      ),
      { numRuns: 300 },
    )
    const { log, last } = record()
    const trap = {
      get boom(): string {
        throw new TypeError('no')
      },
    }
    log.warn('trap', { trap })
    assert.equal(last().unreadable_fields, 'TypeError')
    log.warn('bytes', { bytes: new Uint8Array(3), at: new Date(0), odd: new Date(Number.NaN), big: 3n })
    assert.deepEqual(
      [last().bytes, last().at, last().odd, last().big],
      ['3 bytes', '1970-01-01T00:00:00.000Z', 'null', '3'],
    )
  })

  it('writes lines for people in which nothing can drive the terminal', () => {
    const { log, lines } = record({ human: true })
    log.warn('peer \u001b[2J\u009b2J said\nhi \u202e', {
      name: 'a\u001b]0;x\u0007',
      plain: 'word',
      two: 'two words',
      n: 1,
    })
    const [line = ''] = lines
    assert.match(line, /^03:04:05\.006Z /)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these two colour codes are ours
    const bare = line.replace(/\u001b\[33m|\u001b\[0m/g, '')
    assert.equal(
      bare,
      '03:04:05.006Z warn  peer \\u001b[2J\\u009b2J said\\u000ahi \\u202e name="a\\u001b]0;x\\u0007" plain=word two="two words" n=1\n',
    )
  })

  it('writes ten lines of one text per window, and says how many it left out', () => {
    const { log, objects, timers, last } = record()
    for (let i = 0; i < LINES_PER_TEXT; i++) log.info('again', { i })
    assert.equal(objects().length, LINES_PER_TEXT)
    for (let i = 0; i < 3; i++) log.info('again')
    log.info('something else')
    assert.equal(objects().length, LINES_PER_TEXT + 1)
    assert.deepEqual(
      timers.map(({ delayMs }) => delayMs),
      [WINDOW_MS],
    )
    timers[0]?.fn()
    assert.deepEqual([last().level, last().suppressed, last().most], ['warn', 3, { again: 3 }])
    log.info('again')
    assert.equal(last().message, 'again', 'a new window has begun')
  })

  it('says nothing at the end of a window in which nothing was left out', () => {
    const { log, lines, timers } = record()
    log.info('once')
    timers[0]?.fn()
    assert.equal(lines.length, 1)
  })

  it('writes a thousand lines of one level per window, and still every error', () => {
    const { log, lines, last } = record()
    for (let i = 0; i < LINES_PER_LEVEL; i++) log.info(`text ${i}`)
    assert.equal(lines.length, LINES_PER_LEVEL)
    log.info('one more')
    assert.equal(lines.length, LINES_PER_LEVEL)
    log.error('urgent')
    assert.equal(last().message, 'urgent')
    log.flush()
    assert.equal(last().suppressed, 1)
  })

  it('tells 256 texts apart and leaves the others to the bound of the level', () => {
    const { log, lines } = record()
    for (let i = 0; i < MAX_TEXTS; i++) log.info(`text ${i}`)
    for (let i = 0; i < LINES_PER_TEXT; i++) log.info('text 0')
    assert.equal(lines.length, MAX_TEXTS + LINES_PER_TEXT - 1)
    for (let i = 0; i < LINES_PER_TEXT + 1; i++) log.info('one more')
    assert.equal(lines.length, MAX_TEXTS + 2 * LINES_PER_TEXT)
  })

  it('says what was left out at the level that is heard', () => {
    const { log, last } = record({ level: 'error' })
    for (let i = 0; i < LINES_PER_TEXT + 1; i++) log.error('again')
    log.flush()
    assert.deepEqual([last().level, last().suppressed], ['error', 1])
  })

  it('goes on when a line cannot be written, and counts it', () => {
    const lines: string[] = []
    let broken = true
    const log = createLog({
      human: false,
      write(line) {
        if (broken) throw new Error('EPIPE')
        lines.push(line)
      },
      timers: { after: () => () => {} },
    })
    log.info('lost')
    broken = false
    log.flush()
    assert.equal(JSON.parse(lines[0] ?? '').suppressed, 1)
  })
})
