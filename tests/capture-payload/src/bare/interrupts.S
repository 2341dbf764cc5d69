/* One stub per vector, STUB_SIZE bytes apart.
 *
 * On entry: the interrupted code's stack, which is ours.
 * On exit: NMI returns, counted, with nothing else changed. Every other vector goes to exception with the frame, and never returns.
 */
    .section .text.interrupts, "ax", @progbits
    .balign {STUB_SIZE}
    .global stubs
    .hidden stubs
stubs:
    .set    vector, 0
    .rept   {VECTORS}
1:
    .if     vector == 2
    incl    {nmis}(%rip)
    iretq
    .else
    /* The CPU pushes an error code for these (SDM vol. 3A, "Protected-mode exceptions and interrupts"; AMD APM vol. 2, "Vectors",
     * for 29 and 30). */
    .ifeq   (vector - 8) * (vector - 10) * (vector - 11) * (vector - 12) * (vector - 13) * (vector - 14)
    .else
    .ifeq   (vector - 17) * (vector - 21) * (vector - 29) * (vector - 30)
    .else
    pushq   $0
    .endif
    .endif
    pushq   $vector
    jmp     exceptions
    .endif
    /* Forward only: a stub that is longer does not assemble. */
    .org    1b + {STUB_SIZE}, 0xcc
    .set    vector, vector + 1
    .endr

exceptions:
    movq    %rsp, %rdi
    movq    %cr2, %rsi
    cld
    andq    $-16, %rsp
    call    {exception}
    ud2
    .text
