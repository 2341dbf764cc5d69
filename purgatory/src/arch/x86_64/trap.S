/* [2] One stub per vector, STUB_SIZE bytes apart, as entry.S has put them into the IDT.
 *
 * On entry:
 *   NMI is on the interrupted code's stack. Every other vector starts at the top of the exceptions'
 *   stack, also if it interrupts another exception.
 *   The interrupted code may be using SSE: integer instructions only.
 * On exit:
 *   NMI is counted and returns with nothing else changed.
 *   Every other vector is in the program's `exception`. That returns only with another RIP: in the
 *   drop-ins for their probe (probe.S), otherwise for a copy of the kernel log that cannot be read
 *   (try_copy.S).
 *   An exception inside `exception`, or before SSE is on, resets the machine, because Rust code
 *   cannot report it.
 */
    .section .text.trap, "ax", @progbits
    .balign {STUB_SIZE}
    .global trap_stubs
    .type trap_stubs, @function
trap_stubs:
    .set    vector, 0
    .rept   {VECTORS}
1:
    .if     vector == {NMI}
    incl    {nmis}(%rip)
    iretq
    .else
    /* The CPU pushes an error code for these (SDM vol. 3A, "Protected-mode exceptions and
     * interrupts"; AMD APM vol. 2, "Vectors", for 29 and 30). */
    .set    other, (vector - 8) * (vector - 10) * (vector - 11) * (vector - 12)
    .ifeq   other * (vector - 13) * (vector - 14)
    .else
    .ifeq   (vector - 17) * (vector - 21) * (vector - 29) * (vector - 30)
    .else
    pushq   $0
    .endif
    .endif
    pushq   $vector
    jmp     trap
    .endif
    /* .org moves forward only: a stub that is too long does not assemble. */
    .org    1b + {STUB_SIZE}, 0xcc
    .set    vector, vector + 1
    .endr

    .type trap, @function
trap:
    /* A second exception, or one that came before SSE was on, cannot be reported by Rust code. */
    movq    %cr4, %rax
    testq   ${CR4_OSFXSR}, %rax
    jz      2f
    incl    traps(%rip)
    cmpl    $1, traps(%rip)
    jne     2f
    movq    %rsp, %rdi
    movq    %cr2, %rsi
    subq    $8, %rsp                    /* seven words on an aligned stack */
    cld
    call    {exception}
    movl    $0, traps(%rip)
    addq    $24, %rsp                   /* the alignment, the vector, the error code */
    iretq
2:  pushq   $0
    pushq   $0
    lidt    (%rsp)
    ud2

    .section .bss.trap, "aw", @nobits
    .balign 4
traps:
    .skip   4
    .text
