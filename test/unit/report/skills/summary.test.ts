import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Summary } from '../../../../examples/report/contracts.ts'
import { MAX_RANKED, summary } from '../../../../examples/report/skills/summary.ts'

const of = (path: string, text: string, count?: number): Summary => Summary.parse(summary({ path, text }, count))
const sentences = (path: string, text: string, count?: number): string[] =>
  of(path, text, count).sentences.map((sentence) => sentence.text)

const TEXT = `Agents in the mesh send requests to other agents over encrypted links. Lunch was served at noon in the garden.
The mesh chooses the agent that answers requests fastest. When an agent dies, the mesh sends its requests to another agent.
The weather was pleasant for the season. A cat slept on the windowsill all afternoon.`

describe('a summary', () => {
  test('is the sentences that the others have most in common with, in the order of the text', () => {
    assert.deepEqual(sentences('a.txt', TEXT), [
      'Agents in the mesh send requests to other agents over encrypted links.',
      'The mesh chooses the agent that answers requests fastest.',
      'When an agent dies, the mesh sends its requests to another agent.',
    ])
  })

  test('holds no code, heading or short fragment of Markdown', () => {
    const text = `# The mesh\n\nSee below.\n\n\`\`\`\nthe mesh of agents sends requests to agents in code\n\`\`\`\n\n${TEXT}`
    for (const sentence of sentences('a.md', text)) assert.ok(TEXT.replace(/\n/g, ' ').includes(sentence), sentence)
  })

  test('of source begins with what its first comment says', () => {
    const text = `/** Cuts bytes into frames of a link. */\n/** ${TEXT.replace(/\n/g, ' ')} */\nconst a = 1\n`
    assert.equal(sentences('a.ts', text)[0], 'Cuts bytes into frames of a link.')
  })

  test('does not say the same twice', () => {
    const again = 'The mesh chooses the agent that answers the requests fastest of all. '
    const found = sentences('a.txt', `${again}${again}${TEXT}`)
    assert.equal(found.filter((sentence) => sentence.includes('fastest')).length, 1)
  })

  test('of fragments is fragments, of nothing nothing', () => {
    assert.deepEqual(sentences('a.md', '- one\n- two'), ['one', 'two'])
    assert.deepEqual(of('a.md', '# Only a heading\n'), { sentences: [], found: 0, ranked: 0 })
    assert.deepEqual(sentences('a.json', '{"a": "The mesh sends requests to agents."}'), [])
  })

  test('works in Chinese', () => {
    assert.deepEqual(
      sentences('a.txt', '智能体网络没有中心代理。今天天气很好。网络中的智能体互相发送请求。', 2).length,
      2,
    )
  })

  test('cuts a sentence that is too long', () => {
    const [found] = sentences('a.txt', `${'agent mesh '.repeat(200)}end.`)
    assert.ok(found !== undefined && found.length <= 320 && found.endsWith('…'))
  })

  test('ranks as many sentences as its limit, and of one more a choice spread over the document', () => {
    const numbered = (count: number): string =>
      Array.from({ length: count }, (_, at) => `Sentence ${at} tells about the mesh of agents once more.`).join(' ')
    assert.deepEqual(
      [of('a.txt', numbered(MAX_RANKED)).ranked, of('a.txt', numbered(MAX_RANKED)).found],
      [MAX_RANKED, MAX_RANKED],
    )
    const past = of('a.txt', numbered(MAX_RANKED + 1))
    assert.deepEqual([past.ranked, past.found], [MAX_RANKED, MAX_RANKED + 1])
    assert.deepEqual(past, of('a.txt', numbered(MAX_RANKED + 1)))
  })

  test('of any text fits its contract', () => {
    const piece = fc.constantFrom(
      'The mesh ',
      'sends requests. ',
      '\n\n',
      '# ',
      '- ',
      '```\n',
      '| ',
      '🦊',
      '。',
      'agent ',
    )
    const path = fc.constantFrom('a.md', 'a.ts', 'a.txt', 'a.html')
    fc.assert(fc.property(path, fc.array(piece, { maxLength: 60 }), (name, pieces) => void of(name, pieces.join(''))))
  })
})
