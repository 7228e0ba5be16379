/** What protocols/ may use: nothing of a clock, a timer or a die but what comes through the Port. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
/** Which globals would make a run differ from the next; imports are kept out by the linter (biome.json). */
const IMPURE =
  /Math\.random\(|\bDate\.now\b|new Date\(\)|\bperformance\.|\bset(?:Timeout|Interval|Immediate)\(|\bcrypto\.|\bprocess\.(?!ts\b)/

test('protocols/ takes time and chance from the Port alone', () => {
  const files = globSync('protocols/**/*.{ts,js}', { cwd: ROOT })
  assert.ok(files.length > 100)
  const impure = files.flatMap((file) =>
    readFileSync(`${ROOT}/${file}`, 'utf8')
      .split('\n')
      .flatMap((line, at) =>
        /^\s*(?:\*|\/[/*])/.test(line) || !IMPURE.test(line) ? [] : [`${file}:${at + 1} ${line}`],
      ),
  )
  assert.deepEqual(impure, [])
})
