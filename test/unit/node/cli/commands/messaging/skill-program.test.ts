/** Programs as `parley serve` runs them: real processes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  runSkillLines,
  runSkillOnce,
  type SkillProgram,
  STDERR_BYTES,
} from '../../../../../../node/cli/commands/messaging/skill-program.ts'
import { isStillRunning, UNKNOWN_BIRTH } from '../../../../../../node/platform/process-identity.ts'
import { isParleyError, ParleyError } from '../../../../../../protocols/errors.ts'
import { failureOf, until } from '../../../../../support/until.ts'

const shell = (script: string, more: Partial<SkillProgram> = {}): SkillProgram => ({
  file: 'sh',
  args: ['-c', script],
  timeoutMs: 20_000,
  maxOutputBytes: 1_000,
  groups: new Set(),
  ...more,
})

const options = (signal: AbortSignal = new AbortController().signal) => ({ signal, env: { PARLEY_SKILL: 'a.b' } })

const gone = (pid: number) => async (): Promise<boolean> => !(await isStillRunning({ pid, birth: UNKNOWN_BIRTH }))

test('a program gets its input as one line of JSON, and its output is a JSON value, or null for none', async () => {
  const program = shell('cat')
  const values = [{ text: 'grüß\n"dich"' }, null, [1, 2], 'x', undefined]
  assert.deepEqual(await Promise.all(values.map((value) => runSkillOnce(program, value, options()))), [
    ...values.slice(0, 4),
    null,
  ])
  assert.equal(await runSkillOnce(shell('true'), {}, options()), null)
  assert.equal(await runSkillOnce(shell('echo "\\"$PARLEY_SKILL\\""'), {}, options()), 'a.b')
  assert.equal(program.groups.size, 0)
})

test('a secret of the mesh is not handed on', async () => {
  process.env.PARLEY_SECRET = 'hush'
  process.env.PARLEY_SECRET_FILE = 'hush'
  try {
    assert.equal(await runSkillOnce(shell('echo "\\"$PARLEY_SECRET$PARLEY_SECRET_FILE\\""'), {}, options()), '')
  } finally {
    delete process.env.PARLEY_SECRET
    delete process.env.PARLEY_SECRET_FILE
  }
})

test('a program that fails tells its exit code, or its signal, and the last that it said', async () => {
  const failed = await failureOf(runSkillOnce(shell('echo one >&2; echo two >&2; exit 7'), {}, options()))
  assert.ok(isParleyError(failed, 'APP001'))
  assert.match(failed.message, /^sh ended with exit code 7: two$/)
  assert.deepEqual([failed.details.exitCode, failed.details.stderr], [7, 'one\ntwo'])
  const killed = await failureOf(runSkillOnce(shell('kill -9 $$'), {}, options()))
  assert.ok(isParleyError(killed, 'APP001') && killed.details.signal === 'SIGKILL', String(killed))
  const missing = await failureOf(runSkillOnce({ ...shell(''), file: '/no/such/program' }, {}, options()))
  assert.ok(isParleyError(missing, 'APP001') && /cannot be run/.test(missing.message), String(missing))
  const loud = await failureOf(runSkillOnce(shell('head -c 100000 /dev/zero | tr "\\0" x >&2; exit 1'), {}, options()))
  assert.ok(isParleyError(loud) && String(loud.details.stderr).length === STDERR_BYTES)
})

test('output is taken up to its limit, and a byte more ends the program', async () => {
  const write = (bytes: number): Promise<unknown> =>
    runSkillOnce(shell(`printf '"'; head -c ${bytes - 2} /dev/zero | tr '\\0' x; printf '"'`), {}, options())
  assert.equal(String(await write(1_000)).length, 998)
  const error = await failureOf(write(1_001))
  assert.ok(isParleyError(error, 'APP001') && /more than 1000 bytes/.test(error.message))
  const endless = await failureOf(runSkillOnce(shell('yes'), {}, options()))
  assert.ok(isParleyError(endless, 'APP001') && /more than 1000 bytes/.test(endless.message))
})

test('time that is up, and a caller that leaves, end the program and all that it started', async () => {
  const late = await failureOf(runSkillOnce(shell('sleep 60', { timeoutMs: 50 }), {}, options()))
  assert.ok(isParleyError(late, 'COM001') && /took longer than 50 ms/.test(late.message))
  const leave = new AbortController()
  const lines = runSkillLines(shell('sleep 60 & echo $!; wait'), {}, options(leave.signal))
  const first = await lines.next()
  const why = new ParleyError('COM001', 'the caller left', { hint: 'none' })
  leave.abort(why)
  assert.equal(await failureOf(lines.next()), why)
  await until('what it started is gone', gone(Number(first.value)))
})

test('what a program leaves behind is ended, also where it ended well', async () => {
  const pid = await runSkillOnce(shell('sleep 60 >/dev/null 2>&1 & echo $!'), {}, options())
  await until('it is gone', gone(Number(pid)))
  const holding = await runSkillOnce(shell('sleep 60 & echo $!'), {}, options())
  await until('it is gone, though it held the output', gone(Number(holding)))
})

test('lines are items as they come; leaving the loop ends the program; what is no JSON is told', async () => {
  const seen: unknown[] = []
  const program = shell('for i in 1 2 3; do echo "{\\"i\\":$i}"; echo; done')
  for await (const item of runSkillLines(program, {}, options())) seen.push(item)
  assert.deepEqual(seen, [{ i: 1 }, { i: 2 }, { i: 3 }])
  const endless = shell('while true; do echo $$; sleep 0.01; done')
  let pid = 0
  for await (const item of runSkillLines(endless, {}, options())) {
    pid = Number(item)
    break
  }
  await until('it is gone', gone(pid))
  const wrong = runSkillLines(shell('echo 1; echo hello; sleep 60'), {}, options())
  assert.equal((await wrong.next()).value, 1)
  assert.ok(isParleyError(await failureOf(wrong.next()), 'APP001'))
  const torn = runSkillLines(shell('echo 1; exit 2'), {}, options())
  assert.equal((await torn.next()).value, 1)
  assert.ok(isParleyError(await failureOf(torn.next()), 'APP001'))
})
