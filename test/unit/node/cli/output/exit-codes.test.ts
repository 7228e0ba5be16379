import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommanderError } from 'commander'
import { errorJson, errorText, exitCodeOf } from '../../../../../node/cli/output/exit-codes.ts'
import { type Code, ParleyError } from '../../../../../protocols/errors.ts'

const codeFor = (code: Code, remote = false): number => exitCodeOf(new ParleyError(code, 'x', { remote }))

test('the exit code tells usage, unreachable and refused from other failures', () => {
  assert.deepEqual(
    (['MSG001', 'COM002', 'COM004', 'SEC001', 'SEC002', 'SEC003'] as const).map((code) => codeFor(code)),
    [2, 3, 3, 4, 4, 4],
  )
  assert.deepEqual(
    (['APP001', 'COM001', 'COM003', 'STA003', 'MSG003', 'MSG004'] as const).map((code) => codeFor(code)),
    [1, 1, 1, 1, 1, 1],
  )
  assert.equal(codeFor('STA001'), 3, 'no such agent here')
  assert.equal(codeFor('STA001', true), 1, 'the agent answered that it does not know something')
  assert.equal(exitCodeOf(new TypeError('x')), 1)
})

test('help and version are no failures, unless no command was given', () => {
  assert.equal(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', '')), 0)
  assert.equal(exitCodeOf(new CommanderError(1, 'commander.help', '')), 2)
  assert.equal(exitCodeOf(new CommanderError(1, 'commander.unknownOption', 'error: x')), 2)
})

test('every error is two lines, and can neither hold more nor drive a terminal', () => {
  assert.equal(
    errorText(new ParleyError('STA003', 'taken\nerror SEC001: not true\u001b[2J', { hint: 'go\non' })),
    'error STA003: taken\\u000aerror SEC001: not true\\u001b[2J\nhint: go\\u000aon\n',
  )
  assert.match(errorText(new Error('odd')), /^error APP001: odd\nhint: .+\n$/)
  assert.match(errorText(new ParleyError('APP001', 'no hint')), /^error APP001: no hint\nhint: .+\n$/)
})

test("the command line's own messages have the same form, with what was probably meant as the hint", () => {
  const error = new CommanderError(
    1,
    'commander.unknownOption',
    "error: unknown option '--nmae'\n(Did you mean --name?)",
  )
  assert.equal(errorText(error), "error MSG001: unknown option '--nmae'\nhint: did you mean --name?\n")
})

test('for programs an error is one line of JSON, with the exit code', () => {
  const text = errorJson(new ParleyError('COM002', 'not\nthere', { hint: 'look' }))
  assert.equal(text, '{"error":{"code":"COM002","message":"not\\nthere","hint":"look","exitCode":3}}\n')
  assert.equal(JSON.parse(errorJson(new Error('odd'))).error.exitCode, 1)
})
