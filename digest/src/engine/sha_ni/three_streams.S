/* Three streams of SHA-NI in sixteen registers.
 *
 * SHA256RNDS2 accepts a pair of rounds every other cycle and takes four cycles. Three chains keep
 * it busy; two almost do. Three states, three times sixteen message words and W + K do not fit into
 * the registers, so the words are in memory. There they cost nothing, because each is needed four
 * steps after it was made. Only the newest four of each stream are needed at once, and are also in
 * registers. Compilers put the states into memory instead, and then every round waits for a store.
 *
 * On entry (System V ABI):
 *   RDI = three states, each as two vectors (A,B,E,F) and (C,D,G,H), highest word first, aligned to
 *   16.
 *   RSI, RDX, RCX = the first block of each run; R8 = number of blocks in each, not 0.
 *   R9 = {WORKSPACE} bytes, aligned to 16.
 * On exit:
 *   The states are those after these blocks. Only registers that the ABI does not preserve are
 *   changed, and no stack is used.
 */

    /* Message words 4·\quarter to 4·\quarter+3 of each stream (FIPS 180-4 §5.2.1), which are the
     * newest. */
    .macro message_words quarter
    movdqu  16*\quarter(%rsi), %xmm7
    movdqu  16*\quarter(%rdx), %xmm8
    movdqu  16*\quarter(%rcx), %xmm9
    pshufb  sha256_big_endian(%rip), %xmm7
    pshufb  sha256_big_endian(%rip), %xmm8
    pshufb  sha256_big_endian(%rip), %xmm9
    movdqa  %xmm7, 48*\quarter+0(%r9)
    movdqa  %xmm8, 48*\quarter+16(%r9)
    movdqa  %xmm9, 48*\quarter+32(%r9)
    .endm

    /* Four rounds of one stream, with the words at \words and the constants at \constants (FIPS
     * 180-4 §6.2.2 step 3). */
    .macro four_rounds abef, cdgh, words, constants
    movdqa  \words(%r9), %xmm0
    paddd   \constants(%rax), %xmm0
    sha256rnds2 \abef, \cdgh
    pshufd  $0x0e, %xmm0, %xmm0
    sha256rnds2 \cdgh, \abef
    .endm

    /* The next four words of one stream, in place of its oldest, at \oldest; \second and \third
     * follow those (step 1). */
    .macro schedule newest, next, oldest, second, third
    movdqa  \oldest(%r9), \next
    sha256msg1 \second(%r9), \next
    movdqa  \newest, %xmm13
    palignr $4, \third(%r9), %xmm13
    paddd   %xmm13, \next
    sha256msg2 \newest, \next
    movdqa  \next, \oldest(%r9)
    movdqa  \next, \newest
    .endm

    /* Four rounds of every stream; with \more, what comes sixteen rounds later is made
     * meanwhile. */
    .macro step at, more
    .set    oldest, 48*\at
    .set    second, 48*((\at + 1) % 4)
    .set    third, 48*((\at + 2) % 4)
    four_rounds %xmm1, %xmm2, oldest+0, 16*\at
    .if     \more
    schedule %xmm7, %xmm10, oldest+0, second+0, third+0
    .endif
    four_rounds %xmm3, %xmm4, oldest+16, 16*\at
    .if     \more
    schedule %xmm8, %xmm11, oldest+16, second+16, third+16
    .endif
    four_rounds %xmm5, %xmm6, oldest+32, 16*\at
    .if     \more
    schedule %xmm9, %xmm12, oldest+32, second+32, third+32
    .endif
    .endm

    .section .rodata.sha256_three_streams, "a", @progbits
    .balign 16
    /* Reverses the bytes of each word. */
sha256_big_endian:
    .byte   3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12

    .section .text.sha256_three_streams, "ax", @progbits
    .global sha256_three_streams
    .hidden sha256_three_streams
    .type   sha256_three_streams, @function
    .balign 32
sha256_three_streams:
    movdqa  0(%rdi), %xmm1
    movdqa  16(%rdi), %xmm2
    movdqa  32(%rdi), %xmm3
    movdqa  48(%rdi), %xmm4
    movdqa  64(%rdi), %xmm5
    movdqa  80(%rdi), %xmm6
1:  /* The states before this block are kept where they came from. */
    message_words 0
    message_words 1
    message_words 2
    message_words 3
    leaq    {K}(%rip), %rax
    movl    $3, %r10d
    .balign 32
2:  step    0, 1
    step    1, 1
    step    2, 1
    step    3, 1
    addq    $64, %rax
    decl    %r10d
    jnz     2b
    step    0, 0
    step    1, 0
    step    2, 0
    step    3, 0
    paddd   0(%rdi), %xmm1
    paddd   16(%rdi), %xmm2
    paddd   32(%rdi), %xmm3
    paddd   48(%rdi), %xmm4
    paddd   64(%rdi), %xmm5
    paddd   80(%rdi), %xmm6
    movdqa  %xmm1, 0(%rdi)
    movdqa  %xmm2, 16(%rdi)
    movdqa  %xmm3, 32(%rdi)
    movdqa  %xmm4, 48(%rdi)
    movdqa  %xmm5, 64(%rdi)
    movdqa  %xmm6, 80(%rdi)
    addq    $64, %rsi
    addq    $64, %rdx
    addq    $64, %rcx
    decq    %r8
    jnz     1b
    ret
    .size   sha256_three_streams, . - sha256_three_streams
    .text
    .purgem message_words
    .purgem four_rounds
    .purgem schedule
    .purgem step
