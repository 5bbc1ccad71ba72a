import pytest
from hypothesis import given, strategies as st

from partita.text.v1.chinese_numbers import cardinal, digit_by_digit, spell_chinese


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("在12.5秒内，你好！", "在十二点五秒内,你好,"),
        ("2024年8月24日", "二零二四年八月二十四日"),
        ("98年5月", "九八年五月"),
        ("12月3号", "十二月三号"),
        ("打13812345678", "打一三八一二三四五六七八"),
        ("打+86 13812345678吧", "打八六一三八一二三四五六七八吧"),
        ("打010-62345678", "打零一零六二三四五六七八"),
        ("3/4", "四分之三"),
        ("14%的", "百分之十四的"),
        ("50％", "百分之五十"),
        ("花了200块5", "花了两百块五"),
        ("2万元", "二万元"),
        ("我有2005个", "我有两千零五个"),
        ("电话2005", "电话二零零五"),
        ("20.50", "二十点五零"),
        ("00.5", "零点五"),
        ("b2b", "b2b"),
        ("2个b2b", "二个b2b"),
        ("《歌》[副歌] a-b", ",歌,,副歌, a,b"),
        ("．‐", "．‐"),
        ("^笑$", "笑"),
    ],
)
def test_numbers_become_words_and_marks_commas(text, words):
    assert spell_chinese(text) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "零"),
        ("10", "十"),
        ("12", "十二"),
        ("20", "二十"),
        ("110", "一百一十"),
        ("222", "两百二十二"),
        ("2002", "两千零二"),
        ("10500", "一万零五百"),
        ("100000", "十万"),
        ("20000", "两万"),
        ("200000000", "两亿"),
        ("1000000000000", "一兆"),
        ("007", "零七"),
        ("00", ""),
    ],
)
def test_cardinals(number, words):
    assert cardinal(number) == words


def test_a_number_is_replaced_where_its_digits_first_stand():
    # The 3 that is counted is also the end of 13.
    assert spell_chinese("13和3个") == "一三和三个"


@given(st.integers(0, 10**44))
def test_every_digit_of_a_whole_number_is_said_or_is_a_zero(number):
    words = cardinal(str(number)).replace("两", "二")
    digits = [digit for digit in digit_by_digit(str(number)) if digit != "零"]
    said = [word for word in words if word in "一二三四五六七八九"]
    assert said == digits or ["一", *said] == digits
