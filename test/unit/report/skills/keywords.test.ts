import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Keywords, MAX_KEYWORDS } from '../../../../examples/report/contracts.ts'
import { keywords, MAX_WORDS } from '../../../../examples/report/skills/keywords.ts'

const of = (path: string, text: string): Keywords => Keywords.parse(keywords({ path, text }))
const words = (path: string, text: string): string[] => of(path, text).keywords.map((keyword) => keyword.text)

const ARTICLE = `Contract net is a protocol for task allocation. In contract net, a manager announces a task, and contractors
send bids. The manager awards the task to the best bid. Task allocation by contract net works without a central
scheduler: each manager is a contractor for other managers. Bids carry a price. A price is paid for the task.`

describe('keywords', () => {
  test('are what a text is about, phrases before their words, stop words nowhere', () => {
    const found = words('a.md', ARTICLE).map((text) => text.toLowerCase())
    assert.ok(found.slice(0, 4).includes('contract net'), found.join())
    assert.ok(found.includes('task allocation') && found.some((text) => text.startsWith('manager')))
    for (const stop of ['the', 'is', 'a', 'for', 'each']) assert.ok(!found.includes(stop))
  })

  test('are found in German, Russian, Arabic and Chinese', () => {
    const german = words(
      'a.txt',
      'Der Vermittler leitet die Nachricht weiter. Die Nachricht geht an den Vermittler und nicht an die anderen.',
    )
    assert.ok(
      german.includes('Vermittler') &&
        german.includes('Nachricht') &&
        !german.includes('Die') &&
        !german.includes('nicht'),
    )
    assert.ok(
      words('a.txt', 'Агент посылает сообщение. Это сообщение получает другой агент, и он его читает.').includes(
        'сообщение',
      ),
    )
    assert.ok(words('a.txt', 'الوكيل يرسل رسالة إلى الشبكة. الشبكة تنقل رسالة من الوكيل.').includes('رسالة'))
    const chinese = words('a.txt', '消息代理负责路由。消息代理把消息发送给智能体。智能体处理消息。')
    assert.ok(chinese.some((text) => text.includes('消息')) && !chinese.includes('把'))
  })

  test('do not reach across punctuation', () => {
    assert.ok(!words('a.txt', 'Apples, pears, plums. Apples, pears, plums.').some((text) => text.includes(' ')))
  })

  test('of source come from its comments, and from its names where there are none', () => {
    assert.ok(words('a.ts', `/** ${ARTICLE} */\nconst unrelatedThing = 1`).includes('contract net'))
    const found = words(
      'a.ts',
      'const retryBudget = 3\nfunction spendRetryBudget(retryBudget) { return retryBudget - 1 }',
    )
    assert.ok(
      found.some((text) => text.toLowerCase() === 'retry budget'),
      found.join(),
    )
    assert.ok(!found.includes('const') && !found.includes('return'))
  })

  test('of one form stand for singular and plural', () => {
    const found = words('a.txt', 'Agents call agents. An agent answers. Every agent waits for other agents.')
    assert.equal(found.filter((text) => /^agents?$/i.test(text)).length, 1)
  })

  test('leave out hashes, numbers and lock files', () => {
    assert.deepEqual(words('package-lock.json', '{"integrity": "sha512-AbCdEf0123456789AbCdEf0123456789=="}'), [])
    assert.ok(!words('a.txt', 'deadbeefcafe 12345 3.2.1 x deadbeefcafe 12345').some((text) => /dead|12345/.test(text)))
  })

  test('are at most twenty, the same each time, and none for a text without words', () => {
    const many = Array.from(
      { length: 200 },
      (_, at) => `subject${'abcdefghij'[at % 10]}${'klmnopqrst'[Math.floor(at / 10) % 10]}.`,
    ).join(' ')
    assert.equal(words('a.txt', many.repeat(2)).length, MAX_KEYWORDS)
    assert.deepEqual(of('a.txt', many), of('a.txt', many))
    assert.deepEqual(of('a.txt', '... --- 123'), { keywords: [], words: 1 })
    assert.deepEqual(of('a.txt', ' '), { keywords: [], words: 0 })
  })

  test('are sought in so many words and not in one more', () => {
    assert.equal(of('a.txt', 'word '.repeat(MAX_WORDS)).words, MAX_WORDS)
    assert.equal(of('a.txt', 'word '.repeat(MAX_WORDS + 1)).words, MAX_WORDS)
  })

  test('of any text fit their contract', () => {
    const path = fc.constantFrom('a.md', 'a.ts', 'a.json', 'a.txt', 'a.html')
    fc.assert(fc.property(path, fc.string({ unit: 'binary', maxLength: 200 }), (name, text) => void of(name, text)))
  })
})
